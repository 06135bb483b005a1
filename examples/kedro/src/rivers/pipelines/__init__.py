"""From readings to levels (``gauges``), and from levels to a forecast (``forecast``)."""
