"""The stack of a site: constructs by logical unit, put together in `stack`, fed from `sites.toml` by `settings`."""
