import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { servePsql } from '../../../../src/archiver/serve/psql.ts';
import { PitrError } from '../../../../src/errors.ts';
import { runCommand, startSession } from '../../../../src/system/command.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

/** A psql in the middle of a statement, whose client has gone. `onInterrupt`: what it does then, in sh. */
async function abandon(onInterrupt: string) {
  const directory = temporaryDirectory();
  const pgdata = join(directory, 'main');
  mkdirSync(pgdata);
  writeFileSync(join(pgdata, 'PG_VERSION'), '15\n');
  const interrupted = join(directory, 'interrupted');
  const script = `trap "touch '${interrupted}'; ${onInterrupt}" INT; while :; do sleep 0.05; done`;
  const psql = { program: '/bin/sh', args: ['-c', script] };
  const deps = {
    settings: { pgdata, port: 5432, psql, includepath: [] },
    run: runCommand,
    log: { debug: () => undefined },
  };
  const io = {
    startSession,
    input: (async function* input() {
      yield* await Promise.resolve([]);
    })(),
    write: () => undefined,
    writeError: () => undefined,
    whenRoom: () => undefined,
  };
  const values = { address: '/tmp', port: 5432, user: 'u', database: 'd', field: 'f', record: 'r' };
  const refuse = () => Promise.resolve();
  const status = await servePsql(deps as never, io as never, values, refuse, 500);
  return { status, wasInterrupted: existsSync(interrupted) };
}

describe('a psql of a restricted key whose client has gone in the middle of a statement', () => {
  test('is interrupted, so that the server ends the statement', { timeout: 15_000 }, async () => {
    expect(await abandon('exit 3')).toEqual({ status: 3, wasInterrupted: true });
  });

  test('is killed if that does not end it', { timeout: 15_000 }, async () => {
    expect(await abandon(':')).toMatchObject({ wasInterrupted: true });
  });
});

test('a psql for a data directory that is gone fails as its operator can understand', async () => {
  const pgdata = join(temporaryDirectory(), 'unmounted');
  const psql = { program: '/bin/sh', args: [] };
  const deps = { settings: { pgdata, port: 5432, psql, includepath: [] } };
  const values = { address: '/tmp', port: 5432, user: 'u', database: 'd', field: 'f', record: 'r' };
  const served = servePsql(deps as never, {} as never, values, () => Promise.resolve());
  await expect(served).rejects.toBeInstanceOf(PitrError);
});
