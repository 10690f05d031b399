// SPDX-License-Identifier: Apache-2.0
// A shop on Express with plain routes, no SDK: express_app.mjs PACKAGES PORT.
import { createRequire } from "node:module";
import { Shop } from "./shop.mjs";

const [packages, port] = process.argv.slice(2);
const express = createRequire(packages + "/")("express");
const app = express(), shop = new Shop();

app.get("/dapr/subscribe", (q, r) => r.json([{ pubsubname: "bus", topic: "orders", route: "orders" }]));
for (const route of ["/orders", "/declared"])
	app.post(route, express.json({ type: "application/*+json" }), (q, r) => r.json({ status: shop.take(q.body.data) }));
app.get("/came", (q, r) => r.json(shop.came));
app.get("/refuse", (q, r) => r.status(418).send("not today"));
app.all("/echo", express.text({ type: () => true }), (q, r) =>
	r.json({ method: q.method, query: q.query, mine: q.get("x-mine") ?? null, body: typeof q.body === "string" ? q.body : "" }));
app.listen(Number(port), "127.0.0.1");
