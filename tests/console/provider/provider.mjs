// A certified OpenID provider, on a free port of this machine. Everybody signs in by an e-mail
// address and any password; its domain decides the groups. It prints its issuer.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const [secret] = process.argv.slice(2);
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "ES256" };

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
// Another site than the server's, which is at 127.0.0.1: the browser comes back from elsewhere.
const issuer = `http://localhost:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "antiphon",
      client_secret: secret,
      // Such a client may have any port of the loopback.
      application_type: "native",
      redirect_uris: ["http://127.0.0.1/console/oidc"],
      post_logout_redirect_uris: ["http://127.0.0.1/console/signed-out"],
      id_token_signed_response_alg: "ES256",
    },
  ],
  jwks: { keys: [key] },
  cookies: { keys: ["a key of the tests"] },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      email: id,
      email_verified: !id.startsWith("unverified"),
      name: id.split("@")[0],
      groups: [id.split("@")[1]],
    }),
  }),
});
server.on("request", provider.callback());
console.log(issuer);
