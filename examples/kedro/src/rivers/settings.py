"""Nothing is set here: Kedro finds the plugin by itself.

    DISABLE_HOOKS_FOR_PLUGINS = ("headwater-kedro",)

would turn it off for this project.
"""
