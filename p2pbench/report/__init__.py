"""From records to tables, figures and a page. Nothing here imports torch."""
