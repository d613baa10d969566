import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { checkout } from '../../../test/harness/checkout.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { mustRun, start } from '../../../test/harness/processes.ts';
import { barman } from './barman.ts';
import { twinOf } from './pairs.ts';
import { pgBackRest } from './pgbackrest.ts';
import { type Ground, holdsAll, type Site } from './site.ts';
import { hostKeys } from './ssh-script.ts';

/** A way to ship WAL from the primary to the first standby. */
export interface Tool {
  /** The name for `--tools`. */
  readonly name: string;
  readonly label: string;
  /** The program that the tool needs; without it the tool is left out. */
  readonly needs?: string;
  /** Called once, before the snapshot, while the server runs. */
  readonly prepare?: (ground: Ground) => Promise<void>;
  /** Called before the clock starts, for connections that stay open from call to call. */
  readonly open?: (site: Site) => Promise<void>;
  /** Called when the clock starts, in addition to the calls by PostgreSQL. */
  readonly begin?: (site: Site) => void;
  /** For a tool that does not archive single segments: does all the work, instead of an archive_command. */
  readonly sendAll?: (site: Site) => Promise<void>;
  readonly archiveCommand: (site: Site) => string;
  /** Whether all of these segments are complete at the standby. */
  readonly isDelivered: (site: Site, segments: readonly string[]) => boolean;
  /** Whether the tool has said of these segments that they are flushed at the standby; absent if it never says that. */
  readonly isFlushed?: (site: Site, segments: readonly string[]) => boolean;
}

/** The time after which a new connection is idle. */
const settleMs = 100;

/** Another built checkout of ours to measure beside this one, from `--against`. */
export const otherCheckout = process.env['PITRTOOLS_BENCH_AGAINST'];

function inArchive(site: Site, segments: readonly string[]): boolean {
  const [standby] = site.standbys;
  return standby !== undefined && holdsAll(standby.archiveDir, segments, site.segmentBytes);
}

/** archive_command has succeeded for them. */
function isAnswered({ primary }: Site, segments: readonly string[]): boolean {
  const status = join(primary.pgdata, 'pg_wal', 'archive_status');
  return segments.every((name) => existsSync(join(status, `${name}.done`)));
}

/** It has succeeded, or the marker is there by which it will. */
function isProved(site: Site, segments: readonly string[]): boolean {
  const marks = join(site.primary.lArchiveDir, '.archiver', 'current');
  return segments.every((name) => existsSync(join(marks, name)) || isAnswered(site, [name]));
}

function firstArchive(site: Site): string {
  const [standby] = site.standbys;
  if (standby === undefined) throw new Error('a tool needs a standby');
  return `${standby.name}:${standby.archiveDir}/`;
}

export function archiverCommand(site: Pick<Site, 'primary'>, root = checkout()): string {
  return `${join(root, 'bin', 'cmd_archiver')} -C ${site.primary.iniFile} -F %p`;
}

/** Runs a shipper as its service does; it ends with the run. */
export function startShipper({ primary }: Pick<Site, 'primary'>, root = checkout()): void {
  start(join(root, 'bin', 'cmd_archiver'), ['-C', primary.iniFile, '--ship'], {
    cwd: primary.host.directory,
    env: primary.host.env,
    limitMs: 3_600_000,
  });
}

/**
 * The usual case: a shipper runs as long as its server, no matter what started it. It learns of the backlog when the
 * clock starts, as it would after a burst of writes.
 */
async function openRunning(site: Site, root: string): Promise<void> {
  mkdirSync(heldBack(site));
  for (const name of site.backlog) renameSync(readyFile(site, name), join(heldBack(site), name));
  startShipper(site, root);
  const inbox = join(site.standbys[0]?.archiveDir ?? '', '.incoming');
  await eventually(() => existsSync(inbox), { what: 'the connection of the shipper' });
  await setTimeout(settleMs);
}

/** The programs of one checkout: with a running shipper, started by archive_command, or started as a service. */
function programsOf(root: string, named = (name: string): string => name, words = ''): Tool[] {
  const shipper: Tool = {
    name: named('shipper'),
    label: `cmd_archiver${words}, started by archive_command`,
    archiveCommand: (site) => archiverCommand(site, root),
    isDelivered: inArchive,
    isFlushed: isProved,
  };
  return [
    {
      ...shipper,
      name: named('running'),
      label: `cmd_archiver${words}, its shipper running`,
      open: (site) => openRunning(site, root),
      begin: (site) => {
        for (const name of site.backlog) renameSync(join(heldBack(site), name), readyFile(site, name));
      },
    },
    shipper,
    {
      ...shipper,
      name: named('service'),
      label: `cmd_archiver${words}, its service started then`,
      begin: (site) => {
        startShipper(site, root);
      },
    },
  ];
}

function heldBack({ primary }: Site): string {
  return join(primary.pgdata, 'pg_wal', 'held-back');
}

function readyFile({ primary }: Site, segment: string): string {
  return join(primary.pgdata, 'pg_wal', 'archive_status', `${segment}.ready`);
}

const rsync: Tool = {
  name: 'rsync',
  label: 'rsync, new ssh per segment',
  archiveCommand: (site) => `rsync -az -e '${site.primary.host.ssh} ${hostKeys}' %p ${firstArchive(site)}%f`,
  isDelivered: inArchive,
};

const rsyncKept: Tool = {
  name: 'rsync-kept',
  label: 'rsync, one kept ssh (ControlMaster)',
  open: async (site) => {
    const { host } = site.primary;
    const [standby] = site.standbys;
    const command = `${host.ssh} ${hostKeys} -M -S ${controlSocket(site)} -N ${standby?.name ?? ''}`;
    // A killed master leaves its socket behind, and no other master listens beside it.
    start('/bin/sh', ['-c', `rm -f ${controlSocket(site)}; exec ${command}`], {
      env: host.env,
      limitMs: 3_600_000,
    });
    await mustRun('/bin/sh', [
      '-c',
      `until ${host.ssh} -S ${controlSocket(site)} -O check x 2>/dev/null; do sleep 0.05; done`,
    ]);
  },
  archiveCommand: (site) =>
    `rsync -az -e '${site.primary.host.ssh} -S ${controlSocket(site)}' %p ${firstArchive(site)}%f`,
  isDelivered: inArchive,
};

/** What the tool above leaves out: without it, the segment is lost if the standby's power fails. */
const rsyncKeptFlushed: Tool = {
  ...rsyncKept,
  name: 'rsync-kept-sync',
  label: 'rsync, one kept ssh, then sync over it',
  archiveCommand: (site) =>
    `${rsyncKept.archiveCommand(site)} && ${site.primary.host.ssh} -S ${controlSocket(site)} ${site.standbys[0]?.name ?? ''} 'cd ${site.standbys[0]?.archiveDir ?? ''} && sync %f .'`,
  isFlushed: isAnswered,
};

function controlSocket(site: Site): string {
  return join(site.primary.host.directory, 'run', 'control');
}

const rsyncAll: Tool = {
  name: 'rsync-all',
  label: 'one rsync -az of all, flushing nothing',
  sendAll: async (site) => {
    const { host, pgdata } = site.primary;
    await mustRun(
      'rsync',
      ['-az', '--files-from=-', '-e', `${host.ssh} ${hostKeys}`, join(pgdata, 'pg_wal'), firstArchive(site)],
      { env: host.env, stdin: site.backlog.join('\n') },
    );
  },
  archiveCommand: () => '',
  isDelivered: inArchive,
};

/**
 * This includes the flush that the tool above leaves out: its files are only in memory, and are lost if the standby's
 * power fails.
 */
const rsyncAllFlushed: Tool = {
  ...rsyncAll,
  name: 'rsync-all-sync',
  label: 'one rsync -az of all, then sync at the standby',
  sendAll: async (site) => {
    await rsyncAll.sendAll?.(site);
    const [standby] = site.standbys;
    const archive = standby?.archiveDir ?? '';
    await mustRun('/bin/sh', ['-c', 'cd "$1" && shift && sync "$@" .', 'sh', archive, ...site.backlog]);
  },
};

/** In the order of the table. Tools that are missing on this machine are listed in `missing`. */
export function availableTools(wanted: readonly string[]): { tools: Tool[]; missing: Tool[] } {
  const all = [
    ...programsOf(checkout()),
    ...(otherCheckout === undefined ? [] : programsOf(otherCheckout, twinOf, ' of the other checkout')),
    rsync,
    rsyncKept,
    rsyncKeptFlushed,
    rsyncAll,
    rsyncAllFlushed,
    barman,
    pgBackRest('sync'),
    pgBackRest('async'),
  ];
  for (const name of wanted) {
    if (!all.some((tool) => tool.name === name))
      throw new Error(`no tool is named "${name}": there are ${all.map((tool) => tool.name).join(', ')}`);
  }
  const chosen = all.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
  const isThere = ({ needs }: Tool): boolean => needs === undefined || existsSync(needs);
  return { tools: chosen.filter(isThere), missing: chosen.filter((tool) => !isThere(tool)) };
}
