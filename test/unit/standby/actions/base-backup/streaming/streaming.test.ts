import { describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../../../src/postgres/version.ts';
import type { FileSystemNeed } from '../../../../../../src/standby/actions/base-backup/copy/room.ts';
import { planBaseBackup } from '../../../../../../src/standby/actions/base-backup/plan.ts';
import type { StreamingFacts } from '../../../../../../src/standby/actions/base-backup/streaming/facts.ts';
import { isReplaced } from '../../../../../../src/standby/actions/base-backup/streaming/old-copy.ts';
import {
  parseReceiveProgress,
  pgBasebackupCommand,
  saysThatItWaits,
} from '../../../../../../src/standby/actions/base-backup/streaming/pg-basebackup.ts';
import { receivingPlaces } from '../../../../../../src/standby/actions/base-backup/streaming/places.ts';
import { fullForce, noForce } from '../../../../../../src/standby/steps/force.ts';
import { backupFacts, localPlace, primaryFacts } from '../facts-kit.ts';

function need(neededBytes: number): FileSystemNeed {
  return { targets: ['/standby/main'], neededBytes, freeBytes: 100 };
}

function streaming(changes: Partial<StreamingFacts> = {}, client = '15'): StreamingFacts {
  return {
    program: { program: '/bin/pg_basebackup', args: [] },
    client: capabilitiesOf(parseVersion(client)),
    access: { host: 'bitarena', port: 5433, role: 'copier', env: {} },
    bytes: 50,
    needs: [need(50)],
    needsAfterRemoval: [need(10)],
    mounted: [],
    ...changes,
  };
}

const outside = {
  oid: '16400',
  name: 'fast',
  location: '/a=b',
  target: '/ts/fast',
  isInsidePgdata: false,
};
const inside = {
  oid: '16401',
  name: 'inner',
  location: '/primary/main/inner',
  target: '/standby/main/inner',
  isInsidePgdata: true,
};

function kinds(changes: Partial<StreamingFacts>, force = noForce): readonly string[] {
  return planBaseBackup(backupFacts({ rsync: undefined, streaming: streaming(changes), force })).map(
    ({ kind }) => kind,
  );
}

describe('the plan of a base backup by pg_basebackup', () => {
  test('receives beside the existing copy, and replaces that only when it has received everything', () => {
    expect(kinds({})).toEqual([
      'write-sentinel',
      'prove-wal',
      'note-beginning',
      'receive',
      'mark-copying',
      'move-into-place',
      'link-tablespaces',
      'clean-settings',
      'flush',
      'await-stop',
      'await-wal',
      'finish',
      'move-older',
    ]);
  });

  test('removes the existing copy first if there is space for one only, once no server can start on it', () => {
    const steps = kinds({ needs: [need(101)] });
    expect(steps.slice(2, 6)).toEqual(['note-beginning', 'mark-copying', 'remove-old-copy', 'receive']);
    expect(steps.filter((kind) => kind === 'mark-copying')).toHaveLength(1);
  });

  test('is refused before anything is received if a file system is mounted inside pgdata, even with --force', () => {
    const changes = { mounted: ['/standby/main/pg_stat_tmp'] };
    for (const force of [noForce, fullForce])
      expect(() => kinds(changes, force)).toThrow(/mounted inside pgdata.*\/standby\/main\/pg_stat_tmp/s);
  });

  test('is refused if there is not enough space even then, and --force tries it beside the copy', () => {
    const full = { needs: [need(300)], needsAfterRemoval: [need(200)] };
    expect(() => kinds(full)).toThrow('has 0 MB free');
    expect(kinds(full, fullForce)).not.toContain('remove-old-copy');
  });

  test('is refused for a server or a program that lacks the ability', () => {
    const old = backupFacts({ rsync: undefined, primary: primaryFacts({}, '9.0'), streaming: streaming() });
    expect(() => planBaseBackup(old)).toThrow('PostgreSQL 9.0 cannot be copied by pg_basebackup');
    const place = localPlace({ targets: [outside] });
    const client = backupFacts({ rsync: undefined, place, streaming: streaming({}, '9.3') });
    expect(() => planBaseBackup(client)).toThrow('"/bin/pg_basebackup" is too old to receive tablespaces');
  });
});

describe('the command line of pg_basebackup', () => {
  const place = localPlace({ targets: [outside, inside] });
  const wordsOf = (client: string, basebackup_bwlimit = 0) =>
    pgBasebackupCommand(
      { basebackup_bwlimit, basebackup_checkpoint: 'fast' },
      streaming({}, client),
      place,
      'pitrtools here 1',
    ).args.join(' ');

  test('receives into directories of ours, and maps each tablespace', () => {
    expect(wordsOf('15', 10)).toBe(
      '-h bitarena -p 5433 -U copier -w -D /standby/main/.pitrtools-receiving -F p -c fast ' +
        '-l pitrtools here 1 -P -v -X none --no-sync --no-manifest ' +
        '-T /a\\=b=/ts/fast/.pitrtools-receiving ' +
        '-T /primary/main/inner=/standby/main/.pitrtools-receiving-16401 --max-rate=32',
    );
    expect(receivingPlaces(place)).toEqual([
      '/standby/main/.pitrtools-receiving',
      '/ts/fast/.pitrtools-receiving',
      '/standby/main/.pitrtools-receiving-16401',
    ]);
  });

  test.each([
    ['9.6', ['-X', '--no-sync', '--no-manifest']],
    ['12', ['--no-manifest']],
    ['9.3', ['--max-rate']],
  ])('of %s does not contain %j', (client, words) => {
    for (const word of words) expect(wordsOf(client, 100)).not.toContain(word);
  });

  test('contains no limit if that exceeds what the program accepts', () => {
    expect(wordsOf('15', 2 * 1024 * 1024)).not.toContain('--max-rate');
    expect(wordsOf('15', 5000)).toContain('--max-rate=5000');
  });
});

test('the progress of pg_basebackup is read as it prints it', () => {
  expect(parseReceiveProgress('   1024/22790 kB (4%), 0/1 tablespace')).toEqual({
    bytes: 1024 * 1024,
    total: 22790 * 1024,
  });
  expect(
    parseReceiveProgress(' 100/100 kB (100%), 1/3 tablespaces (...pitrtools-receiving/base/1/1259)'),
  ).toEqual({ bytes: 102_400, total: 102_400 });
  expect(parseReceiveProgress('pg_basebackup: base backup completed')).toBeUndefined();
  expect(saysThatItWaits('NOTICE:  base backup done, waiting for required WAL segments to be archived')).toBe(
    true,
  );
});

test('the list of directories that a new copy replaces is complete', () => {
  const place = localPlace();
  const names = ['base', 'backup_label', 'log', 'pg_wal', 'postgresql.conf', 'pitrtools.json', 'left over'];
  const more = ['.pitrtools-receiving', '.pitrtools-receiving-16401', 'postmaster.opts'];
  expect([...names, ...more].filter((name) => isReplaced(place, name))).toEqual([
    'base',
    'backup_label',
    'left over',
    'postmaster.opts',
  ]);
});
