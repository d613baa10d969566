import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { chooseCluster, findClusters, type FoundCluster } from '../../../src/setup/cluster.ts';

const cluster = (name: string, owner: number | undefined): FoundCluster => ({
  pgdata: `/var/lib/postgresql/${name}`,
  debianName: name,
  major: name.split('/')[0],
  configFile: `/etc/postgresql/${name}/postgresql.conf`,
  owner,
});

const [main, old, foreign] = [cluster('15/main', 101), cluster('9.6/old', 101), cluster('15/theirs', 7)];

describe('the cluster that --setup is about', () => {
  const choose = (found: readonly FoundCluster[], wanted?: string) =>
    chooseCluster({ found, wanted, me: 101, command: 'cmd_archiver --setup' });

  test('is the only one of this user, or the named one', () => {
    expect(choose([])).toBeUndefined();
    expect(choose([foreign, main])).toBe(main);
    expect(choose([main, old], '9.6/old')).toBe(old);
    expect(choose([main, old], '/var/lib/postgresql/15/main')).toBe(main);
    expect(choose([main], '15/none')).toBeUndefined();
    // A package has configured it, and its data directory is not there yet.
    expect(choose([cluster('15/new', undefined)])?.debianName).toBe('15/new');
  });

  test('is asked for if there are several, by a command that can be typed', () => {
    expect(() => choose([main, old])).toThrow(
      expect.objectContaining({
        exitCode: 4,
        message: expect.stringMatching(/15\/main: .*; 9\.6\/old: /) as string,
        hint: 'Say which one is meant: cmd_archiver --setup --cluster 15/main',
      }) as Error,
    );
  });

  test('is refused if it is that of another user', () => {
    expect(() => choose([foreign])).toThrow(/15\/theirs.* belongs to user 7, and this is run by user 101/);
  });
});

describe('the clusters of this host', () => {
  test('have the named data directory among them, by its name, although no server runs there', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pitrtools-clusters-'));
    onTestFinished(() => {
      rmSync(directory, { recursive: true });
    });
    mkdirSync(join(directory, 'real'));
    writeFileSync(join(directory, 'real', 'PG_VERSION'), '15\n');
    const named = join(directory, 'named');
    symlinkSync('real', named);
    expect(await findClusters(named)).toContainEqual(expect.objectContaining({ pgdata: named, major: '15' }));
    const none = (await findClusters(directory)).filter(({ pgdata }) => pgdata.startsWith(directory));
    expect(none).toEqual([]);
    const conf = join(directory, 'etc', '15', 'main', 'postgresql.conf');
    mkdirSync(dirname(conf), { recursive: true });
    vi.stubEnv('PG_CLUSTER_CONF_ROOT', join(directory, 'etc'));
    onTestFinished(() => {
      vi.unstubAllEnvs();
    });
    const real = join(directory, 'real');
    for (const [there, wanted] of [
      [real, named],
      [named, real],
      [real, real],
    ] as const) {
      writeFileSync(conf, `data_directory = '${there}'\n`);
      const found = await findClusters(wanted);
      expect(chooseCluster({ found, wanted, me: undefined, command: '' })).toMatchObject({
        pgdata: wanted,
        debianName: '15/main',
        configFile: conf,
      });
      expect((await findClusters())[0]?.pgdata).toBe(there);
    }
  });
});
