"""Work for a thread, and what runs it; no Qt but in `runner`."""
