// SPDX-License-Identifier: Apache-2.0
// Dapr's JavaScript SDK as a caller of the shop: sdk_client.mjs PACKAGES http|grpc PORT FIRST. Orders are FIRST and those behind it.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [packages, protocol, port, first] = process.argv.slice(2);
const { DaprClient, CommunicationProtocolEnum, HttpMethod } = createRequire(packages + "/")("@dapr/dapr");
const client = new DaprClient({
	daprHost: "127.0.0.1",
	daprPort: port,
	communicationProtocol: protocol === "http" ? CommunicationProtocolEnum.HTTP : CommunicationProtocolEnum.GRPC,
});
const n = Number(first);

await client.start();
for (const order of [{ n }, { n: n + 1, answer: "retry" }]) {
	const r = await client.pubsub.publish("bus", "orders", order);
	assert.equal(r.error, undefined);
}
const bulk = await client.pubsub.publishBulk("bus", "orders", [{ n: n + 2 }, { n: n + 3 }, { n: n + 4, answer: "drop" }]);
assert.deepEqual(bulk.failedMessages, []);
const told = await client.invoker.invoke("shop", "echo", HttpMethod.POST, "hello", { headers: { "content-type": "text/plain" } });
assert.match(JSON.stringify(told), /hello/);
await client.stop();
process.exit(0);
