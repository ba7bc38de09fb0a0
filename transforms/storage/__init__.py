"""What lies under a URL: its versions, its bytes in ranges and as streams, read with retries. Knows nothing of images."""
