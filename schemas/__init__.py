"""What flows between transforms and what is written: frozen elements, Arrow schemas, configurations."""
