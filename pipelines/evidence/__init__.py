"""What there is for one finding, put together for whoever wants to check it: bytes, pictures, numbers, the bundle's card."""
