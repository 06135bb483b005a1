"""headwater: an ML lineage store that speaks ML Metadata's wire and opens its databases."""

__version__ = "0.1.0"
