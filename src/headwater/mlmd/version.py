"""The release of ml-metadata whose interface this is, for programs that compare versions."""

__version__ = "1.17.1"
