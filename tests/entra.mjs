// SPDX-License-Identifier: Apache-2.0
// Entra ID's token endpoint as far as client credentials go: a real OAuth 2.0 server that signs the tokens, told here what Entra
// asks for. The certificate that assertions must be signed with lies in ASSERTION_CERT; CERT and KEY are the server's.
import { createHash, createPublicKey, verify, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.MODULES + "/");
const { OAuth2Server } = await import(pathToFileURL(require.resolve("oauth2-mock-server")));
const tenant = "11111111-2222-3333-4444-555555555555";
const path = `/${tenant}/oauth2/v2.0/token`;
const url = `https://localhost:${process.env.PORT}${path}`;
const server = new OAuth2Server(process.env.KEY, process.env.CERT, { endpoints: { token: path } });

function assertionIsGood(text) {
	const [head, body, signature] = text.split(".");
	const { alg, "x5t#S256": thumb } = JSON.parse(Buffer.from(head, "base64url"));
	const claims = JSON.parse(Buffer.from(body, "base64url"));
	const cert = new X509Certificate(readFileSync(process.env.ASSERTION_CERT));
	const now = Date.now() / 1000;
	return alg === "PS256" && thumb === createHash("sha256").update(cert.raw).digest("base64url") && claims.aud === url &&
		claims.iss === "certified" && claims.sub === "certified" && claims.nbf <= now && claims.exp > now && claims.jti.length === 36 &&
		verify("sha256", Buffer.from(`${head}.${body}`),
			{ key: createPublicKey(cert.publicKey.export({ type: "spki", format: "pem" })), padding: 6, saltLength: 32 },
			Buffer.from(signature, "base64url"));
}

// What is wrong with the form, as Entra names it.
function fault(form) {
	if (form.grant_type !== "client_credentials" || form.scope !== "https://storage.azure.com/.default")
		return ["invalid_request", "AADSTS900144: the form lacks what is needed"];
	if (form.client_id === "secretive")
		return form.client_secret === "p@ss w/rd&=" ? null : ["invalid_client", "AADSTS7000215: Invalid client secret provided."];
	if (form.client_assertion_type !== "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		return ["invalid_client", "AADSTS7000216: client_assertion, client_secret or request is required"];
	if (form.client_id === "certified")
		return assertionIsGood(form.client_assertion) ? null : ["invalid_client", "AADSTS700027: the signature is not valid"];
	if (form.client_id === "workload")
		return form.client_assertion === "token of the platform" ? null : ["invalid_client", "AADSTS70021: No matching federated identity record found"];
	return ["unauthorized_client", "AADSTS700016: Application not found in the directory"];
}

let asked = 0;
server.service.on("beforeTokenSigning", (token, request) => {
	token.payload.aud = "https://storage.azure.com";
	token.payload.iss = `https://sts.windows.net/${tenant}/`;
	token.payload.appid = request.body.client_id;
});
server.service.on("beforeResponse", (answer, request) => {
	const wrong = fault(request.body);
	process.stdout.write(`asked ${++asked} ${request.body.client_id}\n`);
	if (wrong !== null) {
		answer.statusCode = 401;
		answer.body = { error: wrong[0], error_description: wrong[1] };
	}
});
await server.issuer.keys.generate("RS256");
await server.start(Number(process.env.PORT), "localhost");
process.stdout.write("ready\n");
