import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32c } from '../../src/postgres/crc32.ts';
import { serverProgram } from './postgres-programs.ts';
import { mustRun } from './processes.ts';
import { removeTree } from './remove-tree.ts';

export interface InitdbCall {
  readonly major: number;
  readonly pgdata: string;
  /** All but `-D`. */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** Older ones, which `--majors` may name, have another checksum in pg_control and another place of the WAL. */
const firstMajor = 10;
/** Where xlp_sysid is in the header of a segment. */
const identifierInWal = 24;

/**
 * A data directory as initdb makes it. Within a run of `scripts/test` only the first of a kind is made by initdb, which takes a
 * second of processor time: each further one is a copy of it with an identifier of its own.
 */
export async function newCluster(call: InitdbCall): Promise<void> {
  const runDirectory = process.env['PITRTOOLS_TEST_TMP'];
  if (runDirectory === undefined || call.major < firstMajor) {
    await initdb(call);
    return;
  }
  const template = await templateFor(call, join(runDirectory, 'clusters'));
  refuseContent(call.pgdata);
  mkdirSync(dirname(call.pgdata), { recursive: true, mode: 0o700 });
  await mustRun('cp', ['-RT', '--preserve=mode', '--reflink=auto', template, call.pgdata]);
  chmodSync(call.pgdata, statSync(template).mode);
  giveIdentifier(call.pgdata);
}

async function initdb({ major, pgdata, args, env }: InitdbCall): Promise<void> {
  await mustRun(serverProgram(major, 'initdb'), ['-D', pgdata, ...args], { env });
}

async function templateFor(call: InitdbCall, directory: string): Promise<string> {
  // Two builds of a major differ: Debian's has other collations.
  const kind = JSON.stringify([serverProgram(call.major, 'initdb'), call.args]);
  const template = join(directory, createHash('sha256').update(kind).digest('hex').slice(0, 16));
  if (existsSync(template)) return template;
  // Another worker may be making the same one: whichever is ready first is renamed into its place, whole.
  const made = join(directory, `new-${process.pid}-${randomBytes(4).toString('hex')}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await initdb({ ...call, pgdata: made });
  try {
    renameSync(made, template);
  } catch (error) {
    if (!existsSync(template)) throw error;
    removeTree(made);
  }
  return template;
}

/** As initdb would. */
function refuseContent(pgdata: string): void {
  if (existsSync(pgdata) && readdirSync(pgdata).length > 0) throw new Error(`${pgdata} is not empty`);
}

/** In pg_control, and in the first page of each WAL segment: the server compares them. */
function giveIdentifier(pgdata: string): void {
  const identifier = randomBytes(8);
  // The upper half is the time, as initdb has it.
  identifier.writeUInt32LE(Math.floor(Date.now() / 1000), 4);
  const controlFile = join(pgdata, 'global', 'pg_control');
  const control = readFileSync(controlFile);
  const place = checksumPlace(control);
  const old = Buffer.from(control.subarray(0, identifier.length));
  identifier.copy(control);
  control.writeUInt32LE(crc32c(control.subarray(0, place)), place);
  writeFileSync(controlFile, control);
  const wal = join(pgdata, 'pg_wal');
  for (const name of readdirSync(wal).filter((file) => /^[0-9A-F]{24}$/.test(file)))
    replaceAt(join(wal, name), identifierInWal, old, identifier);
}

/** A segment that is kept for its reuse may have another content there. */
function replaceAt(path: string, offset: number, old: Buffer, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  try {
    const there = Buffer.alloc(old.length);
    readSync(file, there, 0, there.length, offset);
    if (there.equals(old)) writeSync(file, bytes, 0, bytes.length, offset);
  } finally {
    closeSync(file);
  }
}

/** The checksum covers all fields before it; where it stands depends on the release. */
function checksumPlace(control: Buffer): number {
  for (let place = 8; place < 512; place += 4)
    if (crc32c(control.subarray(0, place)) === control.readUInt32LE(place)) return place;
  throw new Error('no checksum found in pg_control');
}
