"""What an audit writes and finds again: tables, receipts, accounts, settings and the manifest."""
