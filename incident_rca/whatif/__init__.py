"""What deadlines, circuit breakers, retries and bulkheads would have done: a model, no evidence."""
