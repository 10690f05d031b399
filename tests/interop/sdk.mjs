// SPDX-License-Identifier: Apache-2.0
// Dapr's JavaScript SDK against a sidecar: state, secrets, metadata and health, over the protocol that is named.
//
//	node sdk.mjs PACKAGES http|grpc PORT	prints one line a step; exits 1 at the first that is not as it should be
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";

const [packages, protocol, port] = process.argv.slice(2);
const { DaprClient, CommunicationProtocolEnum, StateConcurrencyEnum, StateConsistencyEnum } = createRequire(packages + "/")("@dapr/dapr");
const overHttp = protocol === "http";
const client = new DaprClient({
	daprHost: "127.0.0.1",
	daprPort: port,
	communicationProtocol: overHttp ? CommunicationProtocolEnum.HTTP : CommunicationProtocolEnum.GRPC,
});
const key = randomUUID();
const steps = {
	async "save and get"() {
		const r = await client.state.save("store", [{ key, value: { a: 1, b: "ü" } }, { key: key + "2", value: "text" }]);
		assert.equal(r.error, undefined);
		assert.deepEqual(await client.state.get("store", key), { a: 1, b: "ü" });
		assert.equal(await client.state.get("store", key + "2"), "text");
	},
	async "a missing key"() {
		assert.ok(["", undefined, null].includes(await client.state.get("store", key + "missing")));
	},
	async "save with an ETag that is not there"() {
		const stale = { key, value: "lost", etag: randomUUID(),
			options: { concurrency: StateConcurrencyEnum.CONCURRENCY_FIRST_WRITE, consistency: StateConsistencyEnum.CONSISTENCY_STRONG } };
		if (overHttp) // here the SDK returns the error, over gRPC it throws
			assert.notEqual((await client.state.save("store", [stale])).error, undefined);
		else
			await assert.rejects(client.state.save("store", [stale]), /etag/);
		assert.deepEqual(await client.state.get("store", key), { a: 1, b: "ü" });
	},
	async "get in bulk"() {
		const r = await client.state.getBulk("store", [key, key + "2", key + "missing"], { parallelism: 2 });
		assert.equal(r.length, 3);
		assert.deepEqual(r.find((i) => i.key === key + "2").data, "text");
	},
	async "a transaction"() {
		await client.state.transaction("store", [
			{ operation: "upsert", request: { key: key + "3", value: "tx" } },
			{ operation: "delete", request: { key: key + "2" } },
		]);
		assert.equal(await client.state.get("store", key + "3"), "tx");
		assert.ok(["", undefined, null].includes(await client.state.get("store", key + "2")));
	},
	async "delete"() {
		const r = await client.state.delete("store", key);
		assert.equal(r.error, undefined);
		assert.ok(["", undefined, null].includes(await client.state.get("store", key)));
	},
	async "query, which these stores cannot"() {
		await assert.rejects(client.state.query("store", { filter: {}, sort: [], page: { limit: 1 } }));
	},
	async "a secret"() {
		assert.deepEqual(await client.secret.get("vault", "plain"), { plain: "v1" });
	},
	async "secrets in bulk"() {
		assert.deepEqual(await client.secret.getBulk("vault"), { plain: { plain: "v1" }, "db:user": { "db:user": "root" } });
	},
	async "a secret that the scopes deny"() {
		await assert.rejects(client.secret.get("vault", "closed"));
	},
	async "metadata"() {
		assert.equal(await client.metadata.set("who", "javascript"), true);
		const m = await client.metadata.get();
		assert.equal(m.id, "testapp");
		assert.deepEqual(m.components.map((c) => c.name).sort(), ["store", "vault"]);
	},
	async "health"() {
		assert.equal(await client.health.isHealthy(), true);
	},
};

await client.start();
for (const [name, step] of Object.entries(steps)) {
	try {
		await step();
		console.log("ok " + name);
	} catch (e) {
		console.log("not ok " + name + "\n" + (e.stack ?? e));
		process.exit(1);
	}
}
await client.stop();
process.exit(0);
