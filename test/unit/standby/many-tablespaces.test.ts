import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StandbyDeps } from '../../../src/standby/deps.ts';
import { observeLocalPlace } from '../../../src/standby/host/place.ts';
import type { Primary } from '../../../src/standby/primary/primary.ts';
import { type RunCommand, runCommand } from '../../../src/system/command.ts';
import type { RemoteWork } from '../../../src/system/ssh.ts';
import { scriptOf } from '../remote-work.ts';
import { temporaryDirectory } from '../system/temporary.ts';
import { primaryFacts } from './actions/base-backup/facts-kit.ts';

const boot = 'cat /proc/sys/kernel/random/boot_id || echo';

interface Counted {
  remoteCommands: number;
  localCommands: number;
  /** Files that proved whether a directory is shared, at the moment when they were looked for. */
  probes: number;
  /** Programs that the commands started, one for each of these words. */
  stats: number;
}

/**
 * A place with so many tablespaces, and a primary on another kernel, so that only probes show what both hosts share. The `shared`
 * ones are links to the primary's own directories, as two hosts see them that mount one storage.
 */
async function look(tablespaces: number, shared: readonly number[] = []) {
  const root = temporaryDirectory();
  const counted: Counted = { remoteCommands: 0, localCommands: 0, probes: 0, stats: 0 };
  const [pgdata, archivedir] = [join(root, 'main'), join(root, 'archive')];
  for (const path of [pgdata, archivedir, join(root, 'here'), join(root, 'primary/main')])
    mkdirSync(path, { recursive: true, mode: 0o700 });
  const spaces = Array.from({ length: tablespaces }, (_, index) => {
    const location = join(root, 'primary', `${index}`);
    mkdirSync(location);
    const target = join(root, 'here', `${index}`);
    if (shared.includes(index)) symlinkSync(location, target);
    else mkdirSync(target);
    return { oid: `${index}`, name: `t${index}`, location, target };
  });
  const count = (script: string) => {
    counted.stats += script.split('stat -c').length - 1;
  };
  const run: RunCommand = (command, options) => {
    counted.localCommands += 1;
    count(command.args.join(' '));
    return runCommand(command, options);
  };
  const deps = {
    settings: {
      pgdata,
      archivedir,
      tablespaces: new Map(spaces.map(({ location, target }) => [location, target])),
      start_command: 'true',
      no_copy_conf: false,
      failover_probe_timeout: 1,
    },
    monotonicMs: () => 0,
    pause: () => Promise.resolve(),
    run,
    nonce: () => '00ff',
    log: { notice: () => undefined },
  } as unknown as StandbyDeps;
  const shell = {
    target: { what: 'the primary', host: 'there' },
    run: async (work: RemoteWork) => {
      const script = scriptOf(work);
      counted.remoteCommands += 1;
      count(script);
      counted.probes += readdirSync(root, { recursive: true }).filter((name) =>
        String(name).includes('.pitrtools-probe-'),
      ).length;
      const other = script.replace(boot, 'echo another-kernel');
      const { stdout } = await runCommand({ program: '/bin/sh', args: ['-c', other] }, { limitMs: 60_000 });
      return { kind: 'done', status: 0, lines: stdout.split('\n') };
    },
  };
  const facts = { ...primaryFacts(), dataDirectory: join(root, 'primary/main'), tablespaces: spaces };
  const place = await observeLocalPlace(deps, { shell, facts } as unknown as Primary, true);
  const left = readdirSync(root, { recursive: true }).filter((name) => String(name).includes('probe'));
  return { counted, overlaps: place.overlaps, left, spaces };
}

test('many tablespaces need as many commands as two, and one probe each', async () => {
  const few = await look(2);
  const many = await look(60);
  expect(few.overlaps).toEqual([]);
  expect(many.overlaps).toEqual([]);
  expect(many.counted.remoteCommands).toBe(few.counted.remoteCommands);
  expect(many.counted.localCommands).toBe(few.counted.localCommands);
  // One in each directory of ours: the tablespaces and pgdata.
  expect(few.counted.probes).toBe(2 + 1);
  expect(many.counted.probes).toBe(60 + 1);
  // One program per directory and look, however deep it lies.
  expect(many.counted.stats).toBeLessThanOrEqual(4 * (60 + 2));
  expect([...few.left, ...many.left]).toEqual([]);
});

test('a directory that both hosts share is found among many, and the probes are removed', async () => {
  const { overlaps, left, spaces } = await look(12, [3, 11]);
  expect(overlaps).toEqual(
    [3, 11].map((index) => ({
      ours: spaces[index]?.target,
      theirs: spaces[index]?.location,
      overlap: 'same',
    })),
  );
  expect(left).toEqual([]);
});
