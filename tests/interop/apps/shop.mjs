// SPDX-License-Identifier: Apache-2.0
// As shop.py.
export class Shop {
	came = [];

	take(order) {
		const again = this.came.includes(order.n);
		this.came.push(order.n);
		const wish = (order.answer ?? "success").toUpperCase();
		return wish === "RETRY" && again ? "SUCCESS" : wish;
	}
}
