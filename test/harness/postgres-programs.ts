import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The majors that tests run on: `scripts/test` chooses them. */
export function testMajors(): number[] {
  return (process.env['PITRTOOLS_TEST_MAJORS'] ?? '11,15,18').split(',').map(Number);
}

/**
 * The majors on which failure paths run: fewer, because each of them waits for limits to pass, and what fails there is seldom
 * the version's doing.
 */
export function failureMajors(): number[] {
  const majors = process.env['PITRTOOLS_TEST_FAILURE_MAJORS'];
  return majors === undefined ? testMajors() : majors.split(',').map(Number);
}

/**
 * The majors for what every release must show, but each of them takes its time for: all of a wide run, and one where failures
 * run on one only.
 */
export function wideMajors(): number[] {
  const few = failureMajors();
  return few.length === 1 ? few : testMajors();
}

/**
 * The majors for what depends little on the release and takes long: the oldest and the newest of those that failure paths run
 * on. A run on a list of majors (`scripts/test --majors`) takes all of them.
 */
export function outerMajors(): number[] {
  return isList() ? testMajors() : [...new Set([...failureMajors().slice(0, 1), ...newestMajors()])];
}

/** For what takes longer still: the newest only. A run on a list of majors takes all of them. */
export function newestMajors(): number[] {
  return isList() ? testMajors() : failureMajors().slice(-1);
}

function isList(): boolean {
  return failureMajors().join() === testMajors().join();
}

/** A server program (`postgres`, `initdb`, `pg_ctl`) of a major. */
export function serverProgram(major: number, program: string): string {
  const place = process.env[`PITRTOOLS_PG_${major}`];
  const file = join(place ?? `/usr/lib/postgresql/${major}`, 'bin', program);
  try {
    accessSync(file, constants.X_OK);
  } catch {
    throw new Error(`no ${program} of PostgreSQL ${major} at ${file}: start the tests by scripts/test`);
  }
  return file;
}

const debianServers = '/usr/lib/postgresql';

/** The newest server that Debian has installed here. */
export function debianMajor(): number {
  const majors = existsSync(debianServers) ? readdirSync(debianServers).map(Number) : [];
  const newest = Math.max(0, ...majors);
  if (newest === 0) throw new Error(`no server below ${debianServers}: start the tests by scripts/test`);
  return newest;
}

/** A client program (`psql`, `pgbench`, `pg_archivecleanup`) of Debian's newest version: it talks to all of ours. */
export function clientProgram(program: string): string {
  const majors = existsSync(debianServers) ? readdirSync(debianServers) : [];
  const files = majors
    .sort((a, b) => Number(b) - Number(a))
    .map((major) => join(debianServers, major, 'bin', program));
  const found = files.find((file) => existsSync(file));
  if (found === undefined)
    throw new Error(`no ${program} below ${debianServers}: start the tests by scripts/test`);
  return found;
}
