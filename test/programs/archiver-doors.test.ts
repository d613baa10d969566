import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { type Host, writeScript } from '../harness/host.ts';
import { test } from '../harness/test.ts';
import { type FakeCluster, fakeCluster, readyCluster } from './archiver-cluster.ts';

function first({ standbys: [standby] }: FakeCluster): Host {
  if (standby === undefined) throw new Error('no standby');
  return standby;
}

/** What an unmounted file system leaves. */
function unmount({ archiveDir }: Host): void {
  renameSync(archiveDir, `${archiveDir}.away`);
  mkdirSync(archiveDir, { mode: 0o700 });
}

describe('the sentinel of an archive directory', () => {
  test('-I does not write it again where WAL was delivered, but asks whether the archive is mounted', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const standby = first(cluster);
    const [one, two] = [cluster.segment(1), cluster.segment(2)];
    cluster.addSegment(one);
    expect((await cluster.archive(one)).code).toBe(0);
    unmount(standby);

    const asked = await cluster.run(['-I']);
    expect(asked.code).toBe(1);
    expect(asked.stderr).toContain(`${standby.archiveDir} on standby s1 has no sentinel .pitrtools`);
    expect(asked.stderr).toContain('is its file system mounted?');
    cluster.addSegment(two);
    expect((await cluster.archive(two)).code).toBe(0);
    expect(readdirSync(standby.archiveDir)).toEqual([]);
    expect(cluster.queue('s1')).toEqual([two]);

    // Network storage, say, has no cmd_standby: this is how to say yes on purpose.
    expect(await cluster.run(['-I', '--plant', 's1'])).toMatchObject({ code: 0 });
    expect(readdirSync(standby.archiveDir)).toEqual(['.pitrtools']);
    const unknown = await cluster.run(['-I', '--plant', 's9']);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('no standby "s9"');
  });

  test('-I does not write it for a lane of an older version that kept no record of deliveries', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const standby = first(cluster);
    rmSync(join(cluster.lArchiveDir, '.archiver', 's1.undelivered'));
    unmount(standby);
    expect(await cluster.run(['-I'])).toMatchObject({ code: 1 });
    expect(readdirSync(standby.archiveDir)).toEqual([]);
  });

  test('-I does not write it into a directory with unknown files, and a server that was a standby never writes it', async ({
    world,
  }) => {
    const cluster = await fakeCluster(world, { slaves: ['s1', 's2'] });
    const [s1, s2] = cluster.standbys;
    if (s1 === undefined || s2 === undefined) throw new Error('no standby');
    for (const { archiveDir } of [s1, s2]) mkdirSync(archiveDir, { mode: 0o700 });
    writeFileSync(join(s1.archiveDir, '.hidden'), '');
    mkdirSync(join(s2.archiveDir, 'lost+found'));
    const result = await cluster.run(['-I']);
    expect(result.code).toBe(0);
    expect(result.stderr).toContain('is not empty (.hidden)');
    expect(readdirSync(s1.archiveDir)).toEqual(['.hidden']);
    expect(readdirSync(s2.archiveDir).sort()).toEqual(['.pitrtools', 'lost+found']);

    rmSync(join(s2.archiveDir, '.pitrtools'));
    writeFileSync(join(cluster.pgdata, 'backup_label.old'), '');
    const followed = await cluster.run(['-I']);
    expect(followed.code).toBe(0);
    expect(followed.stderr).toMatch(/standby s2: .* run cmd_standby -I there/);
    expect(existsSync(join(s2.archiveDir, '.pitrtools'))).toBe(false);
  });
});

describe('the archive directory at the standby', () => {
  test('is refused if other users can write to it, and the message shows its mode and the command that corrects it', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const standby = first(cluster);
    chmodSync(standby.archiveDir, 0o777);
    const init = await cluster.run(['-I']);
    expect(init.code).toBe(1);
    expect(init.stderr).toContain('has mode drwxrwxrwx');
    expect(init.stderr).toContain(`chmod go-w ${standby.archiveDir}`);
    const name = cluster.segment(1);
    cluster.addSegment(name);
    expect((await cluster.archive(name)).code).toBe(0);
    expect(cluster.queue('s1')).toEqual([name]);
    expect(cluster.state('s1')).toMatchObject({ health: 'unfit' });
    chmodSync(standby.archiveDir, 0o770);
    expect(await cluster.run(['--flush'])).toMatchObject({ code: 0 });
    expect(readdirSync(standby.archiveDir)).toContain(name);
  });

  // A file system without hard links needs a mount: an ln that fails as there stands in for it.
  test('is refused by -I and by the first delivery if its file system has no hard links', async ({
    world,
  }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const standby = first(cluster);
    const bin = join(standby.directory, 'fakes');
    mkdirSync(bin);
    const ln = `#!/bin/sh\necho "ln: failed to create hard link: Operation not permitted" >&2\nexit 1\n`;
    writeFileSync(join(bin, 'ln'), ln, { mode: 0o755 });
    await standby.sshd.reconfigure([`SetEnv PATH=${bin}:/usr/local/bin:/usr/bin:/bin`]);
    const init = await cluster.run(['-I']);
    expect(init.code).toBe(1);
    expect(init.stderr).toContain('lies on a file system without hard links');
    const name = cluster.segment(1);
    cluster.addSegment(name);
    expect((await cluster.archive(name)).code).toBe(0);
    expect(cluster.queue('s1')).toEqual([name]);
    expect(JSON.stringify(cluster.state('s1'))).toContain('without hard links');
    expect(readdirSync(standby.archiveDir).sort()).toEqual(['.incoming', '.pitrtools']);
  });

  test('is written to by its real path if a symbolic link leads to it', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const standby = first(cluster);
    const link = join(standby.directory, 'link');
    renameSync(standby.archiveDir, `${standby.archiveDir}.real`);
    symlinkSync(`${standby.archiveDir}.real`, link);
    const bin = join(standby.directory, 'fakes');
    mkdirSync(bin);
    // As rsync 3.5 does with a link of another owner.
    const rsync = `#!/bin/sh\ncase $* in *"${link}"*) exit 3 ;; esac\nexec /usr/bin/rsync "$@"\n`;
    writeFileSync(join(bin, 'rsync'), rsync, { mode: 0o755 });
    await standby.sshd.reconfigure([`SetEnv PATH=${bin}:/usr/local/bin:/usr/bin:/bin`]);
    cluster.writeIni({}, { s1: { r_archivedir: link } });
    const name = cluster.segment(1);
    cluster.addSegment(name);
    expect((await cluster.archive(name)).code).toBe(0);
    expect(cluster.queue('s1')).toEqual([]);
    expect(readdirSync(`${standby.archiveDir}.real`)).toContain(name);
  });
});

test('pg_wal is read by its real path if it is a symbolic link', async ({ world }) => {
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  const link = join(cluster.pgdata, 'pg_wal');
  renameSync(link, `${cluster.pgdata}.wal`);
  symlinkSync(`${cluster.pgdata}.wal`, link);
  // As rsync 3.5 does with a link of another owner.
  const rsync = `case $* in *"${link}"*) exit 3 ;; esac\nexec /usr/bin/rsync "$@"`;
  cluster.writeIni({ rsync_bin: writeScript(cluster.host, 'rsync', rsync) });
  const name = cluster.segment(1);
  cluster.addSegment(name);
  expect((await cluster.archive(name)).code).toBe(0);
  expect(cluster.queue('s1')).toEqual([]);
  expect(readdirSync(first(cluster).archiveDir)).toContain(name);
});

describe('a shell start-up file that prints text', () => {
  test('-I and the lane quote the text that it prints', async ({ world }) => {
    const cluster = await readyCluster(world, { slaves: ['s1'] });
    const noise = String.raw`printf "welcome\\033[2J to s1"`;
    await first(cluster).sshd.reconfigure([`ForceCommand ${noise}; eval "$SSH_ORIGINAL_COMMAND"`]);
    const init = await cluster.run(['-I']);
    expect(init.code).toBe(1);
    expect(init.stderr).toContain(String.raw`prints "welcome\x1b[2J to s1"`);
    const name = cluster.segment(1);
    cluster.addSegment(name);
    expect((await cluster.archive(name)).code).toBe(0);
    expect(cluster.queue('s1')).toEqual([name]);
    expect(JSON.stringify(cluster.state('s1'))).toContain('start-up file');
  });
});

describe('l_archivedir', () => {
  test('is refused if other users can write to it or to a directory above it, and the message shows the command that corrects it', async ({
    world,
  }) => {
    const cluster = await fakeCluster(world, { slaves: ['s1'] });
    mkdirSync(cluster.lArchiveDir);
    chmodSync(cluster.lArchiveDir, 0o777);
    const open = await cluster.run(['-I']);
    expect(open.code).toBe(1);
    expect(open.stderr).toContain(`chmod go-w ${cluster.lArchiveDir}`);
    chmodSync(cluster.lArchiveDir, 0o700);
    chmodSync(cluster.host.directory, 0o777);
    const above = await cluster.run(['-I']);
    chmodSync(cluster.host.directory, 0o755);
    expect(above.code).toBe(1);
    expect(above.stderr).toContain(`chmod o-w ${cluster.host.directory}`);
    expect(await cluster.run(['-I'])).toMatchObject({ code: 0 });
  });
});
