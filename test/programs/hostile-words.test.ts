import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Host } from '../harness/host.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { createWorld, type World } from '../harness/world.ts';
import { readyCluster } from './archiver-cluster.ts';
import { backupPair, snapshot } from './backup-kit.ts';
import { expectExit } from './standby-kit.ts';

let world: World | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

/** From now on every login on this host runs this script of sh instead of what was asked, which is `$SSH_ORIGINAL_COMMAND`. */
async function takeOver(host: Host, script: string): Promise<void> {
  const path = join(host.directory, 'bin', 'hostile');
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o700 });
  await host.sshd.reconfigure([`ForceCommand ${path}`]);
}

const hasControls = (text: string) => /[^\P{Cc}\n\t]/u.test(text);

describe('a standby with hostile answers', () => {
  const archive = async (script: string) => {
    world = await createWorld({ major: 18 });
    const cluster = await readyCluster(world, { slaves: ['standby1'] });
    const [standby] = cluster.standbys;
    if (standby === undefined) throw new Error('no standby');
    await takeOver(standby, script);
    const name = cluster.segment(1);
    cluster.addSegment(name);
    const result = await cluster.archive(name);
    return { cluster, name, result };
  };

  test('cannot write control characters to a terminal, a log or a notification, and the segment is queued', async () => {
    const answer = String.raw`foreign \x1b]0;owned\x07 \x00 \r\x1b[2J`;
    const { cluster, name, result } = await archive(
      `sh -c "$SSH_ORIGINAL_COMMAND" | sed -u 's/^ready$/${answer}/'`,
    );
    expectExit(result, 0);
    expect(cluster.queue('standby1')).toEqual([name]);
    expect(result.stderr).toContain(String.raw`belongs to another cluster (\x1b]0;owned\x07 \x00 \r\x1b[2J)`);
    expect(result.stderr).not.toContain('bug');
    expect(hasControls(result.stderr)).toBe(false);
    const [said] = cluster.host.notifications();
    expect(said?.message).toContain(String.raw`\x1b]0;owned\x07 \x00 \r`);
    expect(hasControls(said?.message ?? '')).toBe(false);
    expect(JSON.stringify(cluster.state('standby1'))).not.toContain(String.raw`\u001b`);
  });

  test('is disconnected if it sends too much output, and the segment is queued', async () => {
    const { cluster, name, result } = await archive('yes all work and no play');
    expectExit(result, 0);
    expect(cluster.queue('standby1')).toEqual([name]);
    expect(result.stderr).toContain('it printed more than allowed, and was stopped');
  });
});

describe.each(failureMajors())('a primary of PostgreSQL %i that prints a hostile list of files', (major) => {
  test('cannot change a file outside the data directory of the standby', async () => {
    world = await createWorld({ major });
    const { primary, standby } = await backupPair(world);
    const victim = join(standby.pgdata, '..', 'victim');
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    mkdirSync(victim);
    chmodSync(victim, 0o700);
    await takeOver(
      primary.host,
      `case $SSH_ORIGINAL_COMMAND in sh) sh | sed -u 's/^d 7\\(.*\\) base\\$$/d 7\\1 ..\\/victim$/' ;; *) exec sh -c "$SSH_ORIGINAL_COMMAND" ;; esac`,
    );
    const backup = await world.cmdStandby(standby, ['-B']);
    expectExit(backup, 1);
    expect(backup.stderr).toMatch(/names a file outside of it: "\.\.\/victim"/);
    expect(statSync(victim).mode & 0o777).toBe(0o700);
  });
});

describe.each(failureMajors())(
  'a primary of PostgreSQL %i whose shell start-up file prints text',
  (major) => {
    test('is refused by -B with that text before any file here changes, and -P still reports its state', async () => {
      world = await createWorld({ major });
      const { primary, standby } = await backupPair(world);
      expectExit(await world.cmdStandby(standby, ['-I']), 0);
      expectExit(await world.cmdStandby(standby, ['-B']), 0);
      const before = snapshot(standby.pgdata);
      const noise = String.raw`printf 'welcome\033[2J to bitarena\n'; exec sh -c "$SSH_ORIGINAL_COMMAND"`;
      await takeOver(primary.host, noise);
      const backup = await world.cmdStandby(standby, ['-B']);
      expectExit(backup, 1);
      expect(backup.stderr).toContain(String.raw`prints "welcome\x1b[2J to bitarena"`);
      expect(backup.stderr).toContain('HINT: ');
      expect(snapshot(standby.pgdata)).toEqual(before);

      const alive = await world.cmdStandby(standby, ['-P']);
      expectExit(alive, 0);
      await primary.kill9();
      const dead = await world.cmdStandby(standby, ['-P']);
      expectExit(dead, 10);
      expect([alive, dead].some(({ stdout, stderr }) => hasControls(stdout + stderr))).toBe(false);
    });
  },
);
