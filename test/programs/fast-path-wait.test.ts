import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import { type Running, start } from '../harness/processes.ts';
import { removeTree } from '../harness/remove-tree.ts';

const segment = '000000010000000000000001';

interface SceneOptions {
  /** More lines of the INI file. */
  readonly ini?: string;
  /** What a shipper does, in sh; `adopt` leaves what a shipper leaves for a segment that is safe. */
  readonly asShipper: string;
}

/** A cluster whose PostgreSQL wants one segment archived, and a Node that writes down what it was asked for. */
interface Scene {
  readonly root: string;
  readonly ini: string;
  readonly pgdata: string;
  /** l_archivedir/.archiver */
  readonly own: string;
  readonly calls: () => string[];
  readonly archive: (shell: string) => Running;
}

function scene({ ini: more = '', asShipper }: SceneOptions): Scene {
  const root = mkdtempSync(join(process.env['PITRTOOLS_TEST_TMP'] ?? tmpdir(), 'wait-'));
  onTestFinished(() => {
    removeTree(root);
  });
  const [ini, pgdata, own] = [join(root, 'a.ini'), join(root, 'pgdata'), join(root, 'queue', '.archiver')];
  const [marks, log, node] = [join(own, 'marks'), join(root, 'calls'), join(root, 'node')];
  const path = join(pgdata, 'pg_wal', segment);
  mkdirSync(join(pgdata, 'pg_wal', 'archive_status'), { recursive: true });
  mkdirSync(marks, { recursive: true });
  writeFileSync(join(own, 'system_identifier'), '7000000000000000001\n');
  writeFileSync(ini, `[DEFAULT]\nl_archivedir: ${join(root, 'queue')}\n${more}`);
  writeFileSync(path, 'wal');
  writeFileSync(join(pgdata, 'pg_wal', 'archive_status', `${segment}.ready`), '');
  writeFileSync(log, '');
  writeFileSync(
    node,
    `#!/bin/sh
adopt() {
  ln -sf '${ini}' '${own}/config'
  ln -sf '${pgdata}' '${own}/pgdata'
  ln -sfn '${marks}' '${own}/current'
  touch -r '${path}' '${marks}/${segment}'
  touch -d @1.000000001 '${own}/earlier'
  touch -d @1.000000002 '${own}/later'
  touch -r '${ini}' '${own}/stamp'
}
case "$*" in
  *" -C ${ini} --ship")
    echo ship >>'${log}'
    ${asShipper}
    ;;
  *)
    echo ask >>'${log}'
    exit 1
    ;;
esac
`,
    { mode: 0o700 },
  );
  const archive = (shell: string): Running =>
    start(shell, [checkout('bin', 'cmd_archiver'), '-C', ini, '-F', `pg_wal/${segment}`], {
      cwd: pgdata,
      env: { PATH: '/usr/bin:/bin', PITRTOOLS_NODE: node },
    });
  const calls = (): string[] => readFileSync(log, 'utf8').split('\n').filter(Boolean);
  return { root, ini, pgdata, own, calls, archive };
}

/** Holds the shipper's lock until the test ends. */
async function holdLock({ own, root }: Scene): Promise<void> {
  const sign = join(root, 'held');
  const holder = start('flock', [join(own, 'shipper.lock'), 'sh', '-c', `: >'${sign}'; exec sleep 100`]);
  onTestFinished(() => {
    holder.killFamily();
  });
  await eventually(() => existsSync(sign), { what: 'the lock' });
}

describe.each(['/usr/bin/dash', '/usr/bin/bash'])('the launcher under %s', (shell) => {
  test('starts a shipper and waits for its confirmation without starting Node', async () => {
    const there = scene({ asShipper: 'echo hello; pwd; adopt' });
    expect(await there.archive(shell).finished).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(there.calls()).toEqual(['ship']);
    // Its output is in its log, and it does not hold the data directory.
    expect(readFileSync(join(there.own, 'shipper.log'), 'utf8')).toBe('hello\n/\n');
  });

  test('starts Node if the shipper ends at once', async () => {
    const there = scene({ asShipper: 'exit 1' });
    expect(await there.archive(shell).finished).toMatchObject({ code: 1 });
    expect(there.calls()).toEqual(['ship', 'ask']);
  });

  test.each<[string, string, (there: Scene) => void]>([
    ['the INI says offline', 'state: offline\n', () => undefined],
    ['the INI says what the shell does not read', 'State = %(mode)s\nmode: online\n', () => undefined],
    [
      'this server is in recovery',
      '',
      ({ pgdata }) => {
        writeFileSync(join(pgdata, 'standby.signal'), '');
      },
    ],
    [
      'this server is in recovery, before 12',
      '',
      ({ pgdata }) => {
        writeFileSync(join(pgdata, 'recovery.conf'), '');
      },
    ],
    [
      '-I has not been run',
      '',
      ({ own }) => {
        rmSync(join(own, 'system_identifier'));
      },
    ],
    [
      'PostgreSQL does not want the segment',
      '',
      ({ pgdata }) => {
        rmSync(join(pgdata, 'pg_wal', 'archive_status', `${segment}.ready`));
      },
    ],
  ])('starts Node at once, and no shipper, when %s', async (_, ini, arrange) => {
    const there = scene({ ini, asShipper: 'adopt' });
    arrange(there);
    expect(await there.archive(shell).finished).toMatchObject({ code: 1 });
    expect(there.calls()).toEqual(['ask']);
  });

  test('waits for a shipper that is starting, and starts no second one', async () => {
    const there = scene({ asShipper: 'adopt' });
    await holdLock(there);
    // Nothing is adopted here, so in the end Node is asked.
    expect(await there.archive(shell).finished).toMatchObject({ code: 1 });
    expect(there.calls()).toEqual(['ask']);
  });

  test('starts a shipper although a killed one has left a stamp', async () => {
    const there = scene({ asShipper: 'adopt' });
    // All of a proof but for the marker of this very segment.
    const first = there.archive(shell);
    expect(await first.finished).toMatchObject({ code: 0 });
    rmSync(join(there.own, 'marks', segment));
    expect(await there.archive(shell).finished).toMatchObject({ code: 0 });
    expect(there.calls()).toEqual(['ship', 'ship']);
  });

  test('does not accept a marker with another time, however long it waits', async () => {
    const there = scene({ asShipper: 'adopt' });
    expect(await there.archive(shell).finished).toMatchObject({ code: 0 });
    utimesSync(join(there.own, 'marks', segment), 1, 1);
    await holdLock(there);
    expect(await there.archive(shell).finished).toMatchObject({ code: 1 });
    expect(there.calls()).toEqual(['ship', 'ask']);
  });

  test('exits 1 after a signal while it waits, and the shipper keeps running', async () => {
    const there = scene({
      asShipper: `until [ -e "$0.adopt" ]; do sleep 0.02; done; adopt; : >"$0.adopted"`,
    });
    const call = there.archive(shell);
    await eventually(() => there.calls().length > 0, { what: 'the shipper' });
    call.signal('SIGTERM');
    expect(await call.finished).toMatchObject({ code: 1, signal: null });
    writeFileSync(join(there.root, 'node.adopt'), '');
    await eventually(() => existsSync(join(there.root, 'node.adopted')), { what: 'the shipper continuing' });
    expect(there.calls().filter((name) => name === 'ship')).toEqual(['ship']);
  });
});
