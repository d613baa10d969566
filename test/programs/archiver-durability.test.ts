import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { checkout } from '../harness/checkout.ts';
import { run } from '../harness/processes.ts';
import { test } from '../harness/test.ts';
import { type FakeCluster, readyCluster } from './archiver-cluster.ts';

/** Where strace is not installed, or may not trace, the order of system calls cannot be seen. */
async function canTrace(): Promise<boolean> {
  if (!existsSync('/usr/bin/strace')) return false;
  return (await run('/usr/bin/strace', ['-o', '/dev/null', '/bin/true'])).code === 0;
}

/** The system calls of one archive_command for the segment, a line each. */
async function traceArchiving(cluster: FakeCluster, calls: string) {
  const name = cluster.segment(1);
  cluster.addSegment(name);
  const trace = join(cluster.host.directory, 'trace');
  const program = [process.execPath, checkout('dist', 'cmd-archiver.js'), '-C', cluster.iniFile];
  const result = await run(
    '/usr/bin/strace',
    ['-f', '-qq', '-y', '-e', `trace=${calls}`, '-o', trace, ...program, '-F', `pg_wal/${name}`],
    { cwd: cluster.pgdata, env: cluster.host.env },
  );
  expect(result.code).toBe(0);
  return { name, lines: readFileSync(trace, 'utf8').split('\n') };
}

test('-F exits 0 only after a queued segment was flushed to the disk (bug of the original: no fsync before success)', async ({
  skip,
  world,
}) => {
  skip(!(await canTrace()), 'strace cannot be used here');
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  await cluster.standbys[0]?.sshd.kill();
  const { name, lines } = await traceArchiving(cluster, 'fsync,fdatasync,link,linkat,exit_group');
  const queue = join(cluster.lArchiveDir, 's1');
  const at = (pattern: RegExp): number => {
    const index = lines.findIndex((line) => pattern.test(line));
    expect(index, String(pattern)).toBeGreaterThanOrEqual(0);
    return index;
  };
  const order = [
    at(new RegExp(`f(data)?sync\\(.*/tmp/\\d+\\.${name}>`)),
    at(new RegExp(`link(at)?\\(.*/tmp/\\d+\\.${name}", .*"${queue}/${name}"`)),
    at(new RegExp(`fsync\\(.*<${queue}>`)),
  ];
  expect([...order].sort((a, b) => a - b)).toEqual(order);
});

test('the ledger adds no flush to a delivery', async ({ skip, world }) => {
  skip(!(await canTrace()), 'strace cannot be used here');
  const cluster = await readyCluster(world, { slaves: ['s1'] });
  const { lines } = await traceArchiving(
    cluster,
    'fsync,fdatasync,sync,syncfs,sync_file_range,rename,renameat,renameat2,openat',
  );
  const ofLedger = lines.filter((line) => line.includes('/.archiver/ledger'));
  expect(ofLedger.some((line) => /rename/.test(line))).toBe(true);
  expect(ofLedger.filter((line) => /sync|O_D?SYNC/.test(line))).toEqual([]);
  expect(lines.some((line) => /\b(?:sync|syncfs)\(/.test(line) && /\.archiver/.test(line))).toBe(false);
});
