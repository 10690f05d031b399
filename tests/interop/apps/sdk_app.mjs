// SPDX-License-Identifier: Apache-2.0
// A shop on Dapr's JavaScript SDK, whose server is the application: sdk_app.mjs PACKAGES http|grpc PORT SIDECAR.
import { createRequire } from "node:module";
import { Shop } from "./shop.mjs";

const [packages, protocol, port, sidecar] = process.argv.slice(2);
const { DaprServer, CommunicationProtocolEnum, DaprPubSubStatusEnum, HttpMethod } = createRequire(packages + "/")("@dapr/dapr");
const communicationProtocol = protocol === "http" ? CommunicationProtocolEnum.HTTP : CommunicationProtocolEnum.GRPC;
const server = new DaprServer({
	serverHost: "127.0.0.1", serverPort: port, communicationProtocol,
	clientOptions: { daprHost: "127.0.0.1", daprPort: sidecar, communicationProtocol },
});
const shop = new Shop();

const take = async (order) => DaprPubSubStatusEnum[shop.take(order)];
await server.pubsub.subscribe("bus", "orders", take, protocol === "http" ? "/orders" : undefined);
await server.pubsub.subscribe("bus", "many", take, protocol === "http" ? "/many" : undefined);
await server.invoker.listen("echo", async (q) => ({ method: "POST", query: {}, mine: q.headers?.["x-mine"] ?? null, body: q.body }),
	{ method: HttpMethod.POST });
await server.invoker.listen("came", async () => shop.came, { method: HttpMethod.GET });
await server.start();
