// A certified OpenID provider on a free port of this machine, for the tests of identity providers.
//
//   node provider.mjs CERTIFICATE KEY      (PEM files for its TLS)
//
// Writes `ready PORT` when it listens, and ends with its standard input. Whatever name is given at its login is taken;
// `ada` belongs to the group `ops`. `POST /test/rotate` gives it new keys, as a provider does now and then.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const [certificate, key] = process.argv.slice(2);

function newKeys() {
  const kinds = [
    ['RS256', 'rsa', { modulusLength: 2048 }],
    ['ES256', 'ec', { namedCurve: 'P-256' }],
  ];
  const keys = kinds.map(([alg, kind, options]) => ({
    ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
    alg,
    use: 'sig',
    kid: randomUUID(),
  }));
  return { keys };
}

const machine = {
  client_secret: 'machine-secret',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
};

function newProvider(issuer) {
  return new Provider(issuer, {
    clients: [
      {
        client_id: 'towpath',
        application_type: 'native',
        grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
        id_token_signed_response_alg: 'ES256',
        redirect_uris: ['http://127.0.0.1/callback'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
      },
      { client_id: 'machine', ...machine },
      { client_id: 'elsewhere', ...machine },
    ],
    claims: { openid: ['sub'], email: ['email'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: [randomUUID()] },
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_, client) =>
          client.grantTypeAllowed('client_credentials') ? 'https://control.example' : undefined,
        getResourceServerInfo: (_, resource, client) => ({
          accessTokenFormat: 'jwt',
          audience: client.clientId === 'machine' ? 'towpath' : 'another',
          jwt: { sign: { alg: 'RS256' } },
          scope: '',
        }),
      },
    },
    findAccount: (_, sub) => ({
      accountId: sub,
      claims: () => ({ sub, email: `${sub}@example.com`, groups: sub === 'ada' ? ['ops'] : [] }),
    }),
    jwks: newKeys(),
  });
}

let provider;
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) => {
  if (request.url === '/test/rotate') {
    provider = newProvider(provider.issuer);
    response.end();
  } else {
    provider.callback()(request, response);
  }
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  provider = newProvider(`https://127.0.0.1:${port}`);
  console.log(`ready ${port}`);
});
process.stdin.on('end', () => process.exit(0)).resume();
