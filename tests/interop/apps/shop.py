# SPDX-License-Identifier: Apache-2.0
"""What every application here does with an order, {"n": 1, "answer": "retry"}: notes it, and answers what it asks for; RETRY
only once."""
import threading


class Shop:
    def __init__(self):
        self.came, self.lock = [], threading.Lock()

    def take(self, order):
        with self.lock:
            again = order["n"] in self.came
            self.came.append(order["n"])
        wish = order.get("answer", "success").upper()
        return "SUCCESS" if wish == "RETRY" and again else wish
