/** The service of a restricted key: all that it may do with the archive of this standby. */
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { runInPlace } from '../../system/command.ts';
import { exists } from '../../system/durable.ts';
import { requireProgram, withFoundProgram } from '../../system/find-program.ts';
import { leaveTicket, takeTicketBack } from '../../system/serve-ticket.ts';
import { servedVersion } from '../../system/served.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import { type ArchivePlace, archiveRequests } from '../../verbs/archive-requests.ts';
import { dataRequests } from '../../verbs/data-requests.ts';
import { readRsyncLine } from '../../verbs/rsync-line.ts';
import type { KeyService } from '../../verbs/serve-key.ts';
import type { StandbyDeps } from '../deps.ts';
import { ownCommand } from '../host/own-command.ts';

/** A file of ours in archivedir; undefined if there is no such directory. */
export async function archiveFile({ settings }: StandbyDeps, name: string): Promise<string | undefined> {
  return (await exists(settings.archivedir).catch(() => false)) ? join(settings.archivedir, name) : undefined;
}

async function identityOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev.toString()}:${found.ino.toString()}`;
}

/** A client may mean another archive of this host: its key then stands before the wrong INI file. */
async function refuseOtherArchive(
  { settings, iniFile }: StandbyDeps,
  meant: string,
): Promise<string | undefined> {
  const { archivedir } = settings;
  if (resolve(meant) === resolve(archivedir)) return undefined;
  const theirs = await identityOf(meant);
  if (theirs !== undefined && theirs === (await identityOf(archivedir))) return undefined;
  return `this key is for the archive ${archivedir} (${iniFile}), not for ${meant}`;
}

/** Other standbys ask whether the archive, the data directory or its WAL are those of a host that they know. */
async function refuseOther(
  deps: StandbyDeps,
  name: string,
  values: Readonly<Record<string, unknown>>,
): Promise<string | undefined> {
  if (name === 'places') {
    const [first, ...more] = values['paths'] as readonly string[];
    return first === undefined || more.length > 0
      ? 'one archive can be compared'
      : refuseOtherArchive(deps, first);
  }
  if (name !== 'identity') return refuseOtherArchive(deps, String(values['archive']));
  const { pgdata } = deps.settings;
  const asked = String(values['directory']);
  // A switchover asks for pg_wal.
  for (const own of [pgdata, walDirectoryOf(pgdata)])
    if (resolve(asked) === resolve(own) || (await isSame(asked, own))) return undefined;
  return `the data directory here is ${pgdata}, not ${asked}`;
}

async function isSame(path: string, other: string): Promise<boolean> {
  const identity = await identityOf(path);
  return identity !== undefined && identity === (await identityOf(other));
}

async function receive(deps: StandbyDeps, line: string): Promise<number | { readonly refused: string }> {
  const read = readRsyncLine(line);
  if (read.kind === 'refused') return { refused: read.reason };
  const { settings, iniFile } = deps;
  const { archivedir } = settings;
  // The greeting has made it. rsync itself would make the last directory of a path.
  const inbox = await stat(join(archivedir, read.inbox)).catch(() => undefined);
  if (inbox?.isDirectory() !== true) return { refused: `there is no directory ${read.inbox} in the archive` };
  const { program } = await requireProgram('rsync', settings.rsync, settings.includepath);
  await leaveTicket({ lane: read.lane, line, iniFile, archivedir, rsync: program });
  return runInPlace({ program, args: read.words }, archivedir);
}

/** Its name depends on the version. */
function walDirectoryOf(pgdata: string): string {
  const older = join(pgdata, 'pg_xlog');
  return existsSync(older) ? older : join(pgdata, 'pg_wal');
}

/** All but the verbs, which belong to the action. */
export async function archiveService(deps: StandbyDeps, roles: boolean): Promise<Omit<KeyService, 'verb'>> {
  const { settings } = deps;
  const { program, iniFile } = ownCommand(deps);
  const place: ArchivePlace = {
    archivedir: settings.archivedir,
    // The PATH of a program that sshd starts may lack its directory.
    rsync: shellQuote((await withFoundProgram(settings.rsync, settings.includepath)).program),
    program: shellQuote(program),
    walDirectory: walDirectoryOf(settings.pgdata),
  };
  const greeted = new Map<string, string>();
  return {
    served: { version: servedVersion, side: 'archive', roles, program, ini: iniFile },
    scripts: { ...archiveRequests, places: dataRequests.places, identity: dataRequests.identity },
    place,
    check: (name, values) => {
      if (name === 'hello') greeted.set(String(values['lane']), String(values['run']));
      return refuseOther(deps, name, values);
    },
    rsync: (line) => receive(deps, line),
    end: async () => {
      for (const [lane, run] of greeted) await takeTicketBack(lane, run);
    },
  };
}
