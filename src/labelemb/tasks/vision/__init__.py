"""Images: data in memory, whole batches at a time, the published nets, and the recipe that trains them."""
