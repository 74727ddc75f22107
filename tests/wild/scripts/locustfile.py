"""A user of Locust's: one route, with Locust's own HTTP client; how long it waits stands in the environment."""
import os

from locust import HttpUser, constant, task


class User(HttpUser):
    wait_time = constant(0.05)

    @task
    def products(self):
        self.client.get("/products", timeout=float(os.environ.get("PATIENCE", "5000")) / 1000)
