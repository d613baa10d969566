import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { clientProgram } from '../harness/postgres-programs.ts';
import { run } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { expectExit, makePair } from './standby-kit.ts';

const example = (name: string) => checkout('scripts', 'examples', name);

/** A namespace that is this host, and in it one named `old`. */
const twoHosts = `mount -t tmpfs none /run && mkdir -p /run/netns && ip netns add old && ip link set lo up &&
ip -n old link set lo up`;
const asRoot = ['--user', '--map-root-user', '--mount', '--net', '--', 'sh', '-c'];
const missing = (await run('unshare', [...asRoot, twoHosts])).stderr.trim();

describe('the example move-address', () => {
  test.skipIf(missing !== '')('takes an address from one host to the other', async ({ world }) => {
    const host = await world.host('new');
    // ssh as the other namespace sees it: the words of a remote command go to a shell there.
    const ssh = writeScript(host, 'ssh', '[ "$1" = -- ] && shift 2 && exec ip netns exec old sh -c "$*"');
    const move = example('move-address');
    const script = join(host.directory, 'moves.sh');
    writeFileSync(
      script,
      `set -e
refuses() { if "$@"; then exit 9; fi; }
${twoHosts}
export SSH='${ssh}' PITRTOOLS_PRIMARY=old
ip -n old address add 192.0.2.10/24 dev lo
'${move}' release 192.0.2.10/24 lo 'a message'
'${move}' release 192.0.2.10/24 lo 'once more'
refuses sh -c 'ip -n old -o address show dev lo | grep -F 192.0.2.10'
'${move}' take 192.0.2.10/24 lo 'a message'
'${move}' take 192.0.2.10/24 lo 'once more'
test "$(ip -o address show dev lo | grep -cF ' 192.0.2.10/24 ')" = 1
refuses '${move}' take 192.0.2.10/24 nothing
refuses '${move}' take '192.0.2.11;reboot' lo
refuses env SSH=false '${move}' release 192.0.2.10/24 lo
refuses env PITRTOOLS_PRIMARY= '${move}' release 192.0.2.10/24 lo
`,
    );
    const moves = await run('unshare', [...asRoot.slice(0, -1), script]);
    expectExit(moves, 0);
    expect(moves.stderr).toContain('there is no host to release 192.0.2.10/24 from');
    expect(moves.stderr).toContain('old has not confirmed that 192.0.2.10/24 is gone');
  });
});

describe('the example health-check', () => {
  test('says which of two servers takes writes, by exit status and over HTTP', async ({ world }) => {
    const { primary, standby } = await makePair(world);
    expectExit(await world.cmdStandby(standby, ['-S']), 0);
    await eventually(() => standby.inRecovery().catch(() => false));
    const env = { ...process.env, PSQL: clientProgram('psql'), HEALTH_TIMEOUT: '20' };
    const ask = (server: { port: number }, at: string, ...words: string[]) =>
      run(
        'sh',
        [
          '-c',
          `exec "$0" "$@"`,
          example('health-check'),
          ...words,
          '-h',
          at,
          '-p',
          String(server.port),
          'postgres',
        ],
        { env },
      );
    const [a, b] = [primary, standby].map(({ host }) => join(host.directory, 'run'));
    const results = [
      [await ask(primary, a ?? '', 'primary'), 0, 'primary'],
      [await ask(primary, a ?? '', 'standby'), 1, 'primary'],
      [await ask(standby, b ?? ''), 1, 'standby'],
      [await ask(standby, b ?? '', 'standby'), 0, 'standby'],
      [await ask({ port: 1 }, b ?? ''), 2, 'silent'],
    ] as const;
    for (const [result, code, word] of results) {
      expectExit(result, code);
      expect(result.stdout).toBe(`${word}\n`);
    }
    const get = async (server: typeof primary | typeof standby, at: string, path: string) => {
      const command = `printf 'GET ${path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' | "$0" "$@"`;
      const words = [example('health-check'), 'http', '-h', at, '-p', String(server.port), 'postgres'];
      return run('sh', ['-c', command, ...words], { env });
    };
    expect((await get(primary, a ?? '', '/primary')).stdout).toMatch(
      /^HTTP\/1\.0 200 OK\r\n[^]*\r\n\r\nprimary\n$/,
    );
    expect((await get(standby, b ?? '', '/')).stdout).toMatch(/^HTTP\/1\.0 503 [^]*standby\n$/);
    expect((await get(standby, b ?? '', '/standby')).stdout).toMatch(/^HTTP\/1\.0 200 /);
    // A client that sends only a part of its request.
    const slow = '{ printf \'GET / HTTP/1.1\\r\\nHost: x\\r\\n\'; sleep 5; } | HEALTH_TIMEOUT=1 "$0" http';
    expect((await run('sh', ['-c', slow, example('health-check')], { env })).stdout).toMatch(
      /^HTTP\/1\.0 408 /,
    );
    expect((await get(standby, b ?? '', '/other')).stdout).toMatch(/^HTTP\/1\.0 404 /);
  });
});
