/** Makes the copy of the standby. Nothing of the standby is written, moved or linked to. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isWithin } from '../../config/path-values.ts';
import { messageOf, PitrError } from '../../errors.ts';
import { startOnStandbySql, stopOnStandbySql } from '../../postgres/backup-sql.ts';
import { checkControlFile } from '../../postgres/control-file.ts';
import { settingLine, settingValue } from '../../postgres/quoting.ts';
import { exists } from '../../system/durable.ts';
import { mkdir, removeFile, symlink, writePrivately } from '../../system/files.ts';
import { readPostmaster } from '../../system/postmaster.ts';
import { listWal } from '../archive/contents.ts';
import { requireArchive } from '../archive/own-archive.ts';
import { readReplayFacts } from '../archive/replay-check.ts';
import type { StandbyDeps } from '../deps.ts';
import { writeRecord } from '../host/backup-record/record.ts';
import { dataRules, tablespaceRules } from '../host/copy-rules.ts';
import { rewriteTablespaceMap } from '../host/tablespaces.ts';
import { readControlFile } from '../server/data-directory.ts';
import { isHotStandby } from '../server/server-configuration.ts';
import { withLocalServer } from '../server/server-state.ts';
import { type CopyManner, copyOne, copyTree } from './copy-files.ts';
import type { Origin } from './origin.ts';
import type { DrillPlace } from './place.ts';
import { listTree, type Tree } from './tree.ts';

interface PlacedTree {
  readonly tree: Tree;
  readonly target: string;
}

/** Everything that is copied but pg_control and the WAL. */
export async function listOrigin(
  { signal }: Pick<StandbyDeps, 'signal'>,
  { server, tablespaces, folder }: Origin,
  place: DrillPlace,
): Promise<readonly PlacedTree[]> {
  const { pgdata } = server;
  const trees = [{ tree: await listTree(pgdata, dataRules([], pgdata, []), signal), target: place.pgdata }];
  for (const { location, target } of tablespaces) {
    if (isWithin(location, pgdata)) continue;
    const [from, to] =
      folder === undefined ? [location, target] : [join(location, folder), join(target, folder)];
    trees.push({ tree: await listTree(from, tablespaceRules(folder), signal), target: to });
  }
  return trees;
}

const controlPath = join('global', 'pg_control');
const attempts = 20;

/** A running server may write the file while it is read. */
async function copyControl(deps: StandbyDeps, { server }: Origin, place: DrillPlace): Promise<void> {
  const [from, to] = [join(server.pgdata, controlPath), join(place.pgdata, controlPath)];
  let reason = '';
  for (let attempt = 0; attempt < attempts; attempt++) {
    await copyOne(deps, from, to);
    const check = checkControlFile(await readFile(to));
    if (check.kind === 'good') return;
    ({ reason } = check);
    await deps.pause(10);
  }
  throw new PitrError(`"${from}" cannot be copied whole: ${reason}`);
}

async function copyFiles(
  deps: StandbyDeps,
  origin: Origin,
  place: DrillPlace,
  manner: Omit<CopyManner, 'limitMs'>,
): Promise<void> {
  const limitMs = deps.settings.drill_time * 1000;
  for (const { tree, target } of await listOrigin(deps, origin, place))
    await copyTree(deps, tree, target, { ...manner, limitMs });
  await copyControl(deps, origin, place);
}

/** The limit of one statement: a restartpoint may take as long as its server spreads it. */
const statementMs = 3_600_000;

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

async function copyRunning(deps: StandbyDeps, origin: Origin, place: DrillPlace): Promise<void> {
  const { server, tablespaces } = origin;
  const { capabilities } = server;
  const label = `pitrtools drill ${deps.nonce()}`;
  const fast = deps.settings.basebackup_checkpoint === 'fast';
  const result = await withLocalServer(
    server,
    async (sql) => {
      await sql(startOnStandbySql(capabilities, label, fast));
      await copyFiles(deps, origin, place, { mayVanish: true, isHurried: false });
      const [row] = await sql(stopOnStandbySql(capabilities));
      return { label: textOf(row?.['labelfile']), map: textOf(row?.['spcmapfile']) };
    },
    statementMs,
  );
  deps.signal.throwIfAborted();
  if (result.kind !== 'answered')
    throw new PitrError('the base backup of the standby has failed', {
      detail: messageOf(result.reason),
      hint: `User "${deps.settings.user}" must be a superuser, or be allowed to start and end a backup (EXECUTE on the functions); the primary needs full_page_writes = on.`,
    });
  const { label: labelFile, map } = result.value;
  if (labelFile === '') throw new PitrError('the base backup of the standby has no label');
  await writePrivately(join(place.pgdata, 'backup_label'), labelFile);
  const targets = tablespaces.map((each) => ({ ...each, name: '', isInsidePgdata: false }));
  if (map.trim() !== '')
    await writePrivately(
      join(place.pgdata, 'tablespace_map'),
      rewriteTablespaceMap(map, targets, capabilities),
    );
}

/** A file that is not there need not be copied. */
async function copyIfThere(deps: StandbyDeps, from: string, to: string): Promise<void> {
  const content = await readFile(from, 'utf8').catch(() => undefined);
  if (content !== undefined) await copyOne(deps, from, to);
}

/** Nothing may have started on the files while they were copied. */
async function requireStill({ server, directory }: Origin): Promise<void> {
  const { kind } = await readPostmaster(server.pgdata);
  const control = await readControlFile(server.pgdata);
  if ((kind === 'none' || kind === 'stale') && control?.checksum === directory.control?.checksum) return;
  throw new PitrError(`a server was started on "${server.pgdata}" while it was copied`, {
    hint: 'Run the drill again.',
  });
}

async function copyStopped(
  deps: StandbyDeps,
  origin: Origin,
  place: DrillPlace,
  isHurried: boolean,
): Promise<void> {
  const { pgdata, capabilities } = origin.server;
  await copyFiles(deps, origin, place, { mayVanish: false, isHurried });
  await copyIfThere(deps, join(pgdata, 'backup_label'), join(place.pgdata, 'backup_label'));
  const map = await readFile(join(pgdata, 'tablespace_map'), 'utf8').catch(() => undefined);
  const targets = origin.tablespaces.map((each) => ({ ...each, name: '', isInsidePgdata: false }));
  if (map !== undefined)
    await writePrivately(
      join(place.pgdata, 'tablespace_map'),
      rewriteTablespaceMap(map, targets, capabilities),
    );
  await requireStill(origin);
}

/** The links of the copy lead to its own tablespaces. */
async function linkTablespaces({ tablespaces }: Origin, place: DrillPlace): Promise<void> {
  for (const { oid, target } of tablespaces) {
    const link = join(place.pgdata, 'pg_tblspc', oid);
    await mkdir(target, { recursive: true, mode: 0o700 });
    await removeFile(link);
    await symlink(target, link);
  }
}

/**
 * WAL that the archive does not have, such as what was streamed. The history of a timeline is streamed as well: without it the
 * copy would remain on the timeline before, and end there.
 */
export async function copyWal(
  deps: StandbyDeps,
  { server, directory, archive: { directory: archivedir } }: Pick<Origin, 'server' | 'directory' | 'archive'>,
  place: Pick<DrillPlace, 'pgdata'>,
  isHurried: boolean,
): Promise<void> {
  const { walDirName } = server.capabilities;
  const archive = await requireArchive(archivedir, directory);
  const wal = await readReplayFacts(directory, archive, undefined);
  if (wal === undefined) throw new PitrError(`the WAL of "${server.pgdata}" cannot be read`);
  const archived = new Set(archive.files.map(({ text }) => text));
  const root = join(server.pgdata, walDirName);
  const target = join(place.pgdata, walDirName);
  await mkdir(join(target, 'archive_status'), { recursive: true, mode: 0o700 });
  const histories = (await listWal(root)).filter(({ kind }) => kind === 'history');
  const files = [...wal.inPgWal, ...histories].map(({ text }) => text).filter((text) => !archived.has(text));
  const tree = { root, files, directories: [], bytes: files.length * wal.layout.segmentSize };
  const limitMs = deps.settings.drill_time * 1000;
  await copyTree(deps, tree, target, { mayVanish: true, isHurried, limitMs });
}

/** The file that the standby is started with; one that the INI file names is copied to pgdata only then. */
async function includeLine({ settings }: StandbyDeps, { configuration }: Origin): Promise<string> {
  const path = settings.pg_conf ?? configuration.configFile;
  return (await exists(path)) ? `include ${settingValue(path, 'parameter')}` : '';
}

async function writeConfiguration(
  deps: StandbyDeps,
  origin: Origin,
  { pgdata }: DrillPlace,
  parameters: ReadonlyMap<string, string>,
): Promise<void> {
  const { configuration, server } = origin;
  const { capabilities } = server;
  const isHot = isHotStandby(configuration, capabilities);
  const hot = capabilities.standbyMode ? [['hot_standby', isHot ? 'on' : 'off'] as const] : [];
  const lines = [...hot, ...parameters].map(([name, value]) => settingLine(name, value, 'parameter'));
  const conf = ['# Written by cmd_standby --drill.', await includeLine(deps, origin), ...lines, ''];
  // It is reached by its socket alone, in a directory that nobody else can enter.
  const files = {
    'postgresql.conf': conf.join('\n'),
    'pg_hba.conf': 'local all all trust\n',
    'pg_ident.conf': '',
  };
  for (const [name, content] of Object.entries(files)) {
    const path = join(pgdata, name);
    // In a snapshot it may be a link to a file of the standby.
    await removeFile(path);
    await writePrivately(path, content);
  }
}

/** Only what describes the data: slots, promotions and actions are the standby's. A new base backup has its own. */
async function writeOwnRecord({ directory: { record }, way }: Origin, { pgdata }: DrillPlace): Promise<void> {
  if (way === 'new-base-backup') return;
  const { backup, settings } = record;
  await writeRecord(pgdata, { backup, settings });
}

/**
 * Copies the files of the standby.
 *
 * @param isHurried it was stopped for that
 */
export async function makeCopy(
  deps: StandbyDeps,
  origin: Origin,
  place: DrillPlace,
  isHurried = false,
): Promise<void> {
  if (origin.way === 'backup') await copyRunning(deps, origin, place);
  else await copyStopped(deps, origin, place, isHurried);
  await linkTablespaces(origin, place);
  await copyWal(deps, origin, place, isHurried);
}

/**
 * Makes the copy one that a server can be started on.
 *
 * @param parameters those of every start of it
 */
export async function prepareCopy(
  deps: StandbyDeps,
  origin: Origin,
  place: DrillPlace,
  parameters: ReadonlyMap<string, string>,
): Promise<void> {
  await mkdir(place.sockets, { recursive: true, mode: 0o700 });
  await writeConfiguration(deps, origin, place, parameters);
  await writeOwnRecord(origin, place);
}
