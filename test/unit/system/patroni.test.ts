import dns from 'node:dns';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { askLeadership, findLeader } from '../../../src/system/patroni.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Answers as Patroni does. `undefined`: it takes the connection, and says nothing. */
async function patroni(answers: Readonly<Record<string, readonly [number, string] | undefined>>) {
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? ''];
    if (answer !== undefined) response.writeHead(answer[0]).end(answer[1]);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Begins an answer, and stops. */
async function stalled(): Promise<string> {
  const url = await patroni({});
  servers
    .at(-1)
    ?.removeAllListeners('request')
    .on('request', (_, response: ServerResponse) => {
      response.writeHead(200).write('{');
    });
  return url;
}

/** A port that nobody listens at. */
async function nobody(): Promise<string> {
  const url = await patroni({});
  const server = servers.pop();
  await new Promise((resolve) => server?.close(resolve));
  return url;
}

const cluster = '7000000000000000001';
const long = 60_000;
/** The part of every status, of each release of Patroni. */
const patroniStatus = { role: 'primary', patroni: { version: '3.0.2', scope: 'main' } };

describe("whether this host holds the leader's lock", () => {
  test.each([
    ['the leader of this cluster', { ...patroniStatus, database_system_identifier: cluster }],
    ['a leader that does not name its cluster', patroniStatus],
  ])('%s: yes', async (_, status) => {
    const url = await patroni({ '/primary': [200, JSON.stringify(status)] });
    expect(await askLeadership(url, cluster, long)).toEqual({ kind: 'leader' });
  });

  test.each([
    ['no JSON', 'yes'],
    ['JSON of another service', JSON.stringify({ status: 'ok' })],
    ['nothing', ''],
    ['no object', 'null'],
  ])('200 with %s, as from a proxy that answers everything: no', async (_, body) => {
    const url = await patroni({ '/primary': [200, body] });
    const answer = await askLeadership(url, cluster, long);
    expect(answer.kind).toBe('not-leader');
    expect(JSON.stringify(answer)).toContain('is not Patroni');
  });

  test('a replica: no', async () => {
    const url = await patroni({ '/primary': [503, JSON.stringify({ role: 'replica' })] });
    expect(await askLeadership(url, cluster, long)).toEqual({
      kind: 'not-leader',
      reason: "Patroni here does not hold the leader's lock (it answers 503)",
    });
  });

  test('the leader of another cluster: no', async () => {
    const url = await patroni({
      '/primary': [200, JSON.stringify({ ...patroniStatus, database_system_identifier: '7' })],
    });
    const { kind, reason } = (await askLeadership(url, cluster, long)) as { kind: string; reason: string };
    expect([kind, reason]).toEqual(['not-leader', expect.stringContaining('runs another cluster (7)')]);
  });

  test('nobody listens: no', async () => {
    const answer = await askLeadership(await nobody(), cluster, long);
    expect(answer).toMatchObject({ kind: 'not-leader' });
    expect(JSON.stringify(answer)).toContain('cannot be asked');
  });

  test('it takes the connection and says nothing, as one that is stopped: no', async () => {
    const answer = await askLeadership(await patroni({}), cluster, 100);
    expect(answer).toMatchObject({ kind: 'not-leader' });
    expect(JSON.stringify(answer)).toContain('no answer within');
  });
});

test('an answer that stops half way is none within the limit', async () => {
  const url = await stalled();
  expect(JSON.stringify(await askLeadership(url, cluster, 200))).toContain('no answer within 0.2 s');
  expect(JSON.stringify(await findLeader([url], 200))).toContain('no answer within 0.2 s');
});

test('a name with several addresses, as localhost has: what each of them says', async () => {
  const url = new URL(await nobody());
  const lookUp = vi.spyOn(dns, 'lookup').mockImplementation((...given: readonly unknown[]) => {
    const found = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
    (given.at(-1) as (error: null, found: readonly object[]) => void)(null, found);
  });
  const answer = await askLeadership(`http://localhost:${url.port}`, cluster, long);
  lookUp.mockRestore();
  expect(JSON.stringify(answer)).toContain(
    `connect ECONNREFUSED 127.0.0.1:${url.port}; connect ECONNREFUSED 127.0.0.2:${url.port}`,
  );
});

/** Made for this test alone, for 127.0.0.1, by an authority that nobody knows. */
const unknownCertificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgp11U6gze4+Pa+6lk
NPLPgnsEfiYQsRjMK0dlvdckR02hRANCAATzaRlFDNc7BzNreQXPW4gCYM5Z6Z9E
hYEUs4LNEV4ZUzDVBlFOzv5SEp9me2XXDv0w7HkBErYTv/K1P984P7Na
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUHSicH5p3Mow8TFkP6j+Qn07jTH0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEzMDE2NTYxNloYDzIxMjYxMTA2
MTY1NjE2WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATzaRlFDNc7BzNreQXPW4gCYM5Z6Z9EhYEUs4LNEV4ZUzDVBlFOzv5S
Ep9me2XXDv0w7HkBErYTv/K1P984P7Nao2QwYjAdBgNVHQ4EFgQUCskKwiSg04gb
D5bvoIEnIDeH9OkwHwYDVR0jBBgwFoAUCskKwiSg04gbD5bvoIEnIDeH9OkwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IQCjd2RdCkQL1ZH4chN5o5bah1vii2wGmYZPLqJOzS6DhAIgMl7VbiAXaoD8cgIa
zLnigHeGmGtC2CtVwoSLItiZNGQ=
-----END CERTIFICATE-----`,
};

test('a certificate of an authority that Node does not know: how to name it', async () => {
  const server = createSecureServer(unknownCertificate, (_, response) => response.end('{}'));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(JSON.stringify(await askLeadership(url, cluster, long))).toContain('NODE_EXTRA_CA_CERTS');
  expect(JSON.stringify(await findLeader([url], long))).toContain('NODE_EXTRA_CA_CERTS');
});

const members = (...list: readonly object[]) => [200, JSON.stringify({ members: list })] as const;
const leader = { name: 'm1', role: 'leader', state: 'running', host: '10.0.0.1', port: 5433 };
const replica = { name: 'm2', role: 'replica', state: 'running', host: '10.0.0.2', port: 5433 };

describe('where the leader is', () => {
  test('the first Patroni that knows it counts', async () => {
    const urls = [
      await nobody(),
      await patroni({ '/cluster': members(replica) }),
      await patroni({ '/cluster': members(replica, leader) }),
    ];
    expect(await findLeader(urls, long)).toEqual({ kind: 'leader', host: '10.0.0.1', port: 5433 });
  });

  test.each([
    ['a leader without a host', members({ role: 'leader' })],
    ['a host that would be taken for a flag', members({ ...leader, host: '-oProxyCommand=x' })],
    ['several hosts', members({ ...leader, host: 'm1,m2' })],
    ['a port that is none', members({ ...leader, port: 70_000 })],
    ['no members', [200, '{}'] as const],
    ['no JSON', [200, 'members'] as const],
  ])('%s: unknown', async (_, answer) => {
    const found = await findLeader([await patroni({ '/cluster': answer })], long);
    expect(found.kind).toBe('unknown');
  });
});
