/** The server that this host is to follow: what it is, and a connection to it that stays open. */
import { PitrError } from '../../errors.ts';
import {
  parseWalPosition,
  serverVersionSql,
  switchWalSql,
  walPositionSql,
  writeWalRecordSql,
} from '../../postgres/backup-sql.ts';
import { type Capabilities, capabilitiesOf } from '../../postgres/capabilities.ts';
import { parseHistory, type TimelineEntry } from '../../postgres/history.ts';
import { parseLsn } from '../../postgres/lsn.ts';
import {
  parseServerSettings,
  type ServerSettings,
  serverSettingsSql,
} from '../../postgres/server-settings.ts';
import { replayedSql } from '../../postgres/server-sql.ts';
import { parseVersion } from '../../postgres/version.ts';
import { historyName, parseWalName, type SegmentName } from '../../postgres/wal-name.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import type { StandbyDeps } from '../deps.ts';
import { readRecord } from '../host/backup-record/record.ts';
import { findOverlaps } from '../host/same-place.ts';
import { type Primary, readRemoteControl, withServerSession } from '../primary/primary.ts';
import { historyFromPrimary, identifyPrimary } from '../primary/protocol/identify.ts';
import { findPsql, withPrimaryByProtocol } from '../primary/protocol/protocol-primary.ts';
import { readRemoteFile } from '../primary/remote-files.ts';
import type { Query, ServerSession } from '../primary/session.ts';
import { provedPlace } from '../server/progress.ts';
import { askOwnSlot, type SlotFact } from '../slot/own-slot.ts';
import { askSlots } from '../slot/there.ts';
import type { Lineage } from './lineage.ts';

/** Another server of the cluster, as it says itself. */
export interface HostFacts extends Lineage {
  readonly capabilities: Capabilities;
  readonly systemIdentifier: string;
  readonly inRecovery: boolean;
  readonly settings: ServerSettings;
  readonly dataDirectory: string;
  /** The slot there by which this standby is to stream. */
  readonly slot?: SlotFact;
}

export interface Host {
  readonly facts: HostFacts;
  readonly shell: RemoteShell;
  readonly query: Query;
}

export type HostAnswer =
  | {
      readonly kind: 'host';
      readonly host: Host;
      /** It is the server of this host's own pgdata. */
      readonly isSelf: boolean;
    }
  | { readonly kind: 'silent'; readonly error: PitrError };

const historyBytes = 64 * 1024;

async function readHistoryThere(
  shell: RemoteShell,
  dataDirectory: string,
  { walDirName }: Capabilities,
  timeline: number,
): Promise<readonly TimelineEntry[]> {
  if (timeline === 1) return [];
  const { text: name } = historyName(timeline);
  const bytes = await readRemoteFile(shell, `${dataDirectory}/${walDirName}/${name}`, historyBytes);
  return parseHistory(bytes.toString('utf8'), name);
}

/** A standby does not say which timeline it replays: pg_control proves up to where it has come. */
async function lineageInRecovery(
  control: Awaited<ReturnType<typeof readRemoteControl>>['control'],
  capabilities: Capabilities,
  query: Query,
): Promise<Omit<Lineage, 'history'>> {
  const proved = provedPlace(control);
  const sql = replayedSql(capabilities);
  const text = sql === undefined ? '' : ((await query(sql))[0]?.[0] ?? '');
  return { timeline: proved.timeline, lsn: parseLsn(text === '' ? proved.lsn : text) };
}

async function askFacts(deps: StandbyDeps, shell: RemoteShell, { query }: ServerSession): Promise<HostFacts> {
  const capabilities = capabilitiesOf(parseVersion((await query(serverVersionSql))[0]?.[0] ?? ''));
  const settings = parseServerSettings(await query(serverSettingsSql(capabilities)));
  const { dataDirectory, inRecovery } = settings;
  if (dataDirectory === undefined) {
    throw new PitrError(`the server on ${shell.target.what} does not show its data_directory`, {
      hint: `The user ${shell.target.user} must be a database superuser there.`,
    });
  }
  const { control } = await readRemoteControl(shell, dataDirectory);
  const here = inRecovery
    ? await lineageInRecovery(control, capabilities, query)
    : parseWalPosition(await query(walPositionSql(capabilities)));
  const history = await readHistoryThere(shell, dataDirectory, capabilities, here.timeline);
  const { systemIdentifier } = control;
  const slot = await askOwnSlot(deps, { capabilities, record: await readRecord(deps.settings.pgdata) }, () =>
    askSlots(query, capabilities),
  );
  return { ...here, history, capabilities, systemIdentifier, inRecovery, settings, dataDirectory, slot };
}

/** Without ssh: everything is asked of the server itself. */
async function askByProtocol(deps: StandbyDeps, primary: Primary): Promise<HostFacts> {
  const { facts, protocol, query } = primary;
  if (protocol === undefined) throw new Error('the server is reached over ssh');
  const psql = await findPsql(deps);
  const { capabilities, settings, systemIdentifier, dataDirectory } = facts;
  const { inRecovery } = settings;
  const { timeline } = await identifyPrimary(deps, psql, protocol);
  const name = historyName(timeline).text;
  const history =
    timeline === 1 ? [] : parseHistory(await historyFromPrimary(deps, psql, protocol, timeline), name);
  const replayed = replayedSql(capabilities);
  const here =
    inRecovery && replayed !== undefined
      ? parseLsn((await query(replayed))[0]?.[0] ?? '')
      : parseWalPosition(await query(walPositionSql(capabilities))).lsn;
  return {
    capabilities,
    settings,
    systemIdentifier,
    dataDirectory,
    inRecovery,
    timeline,
    history,
    lsn: here,
    slot: await askOwnSlot(deps, { capabilities, record: await readRecord(deps.settings.pgdata) }, () =>
      askSlots(query, capabilities),
    ),
  };
}

/** Connects in the way that the INI file allows. */
async function connect<T>(deps: StandbyDeps, use: (host: Host) => Promise<T>): Promise<T> {
  const { master_public_ip: host, master_local_ip: localAddress, port, basebackup_method } = deps.settings;
  if (basebackup_method === 'rsync')
    return withServerSession(deps, { what: host, host, localAddress, port }, async (shell, session) =>
      use({ facts: await askFacts(deps, shell, session), shell, query: session.query }),
    );
  return withPrimaryByProtocol(deps, async (primary) =>
    use({ facts: await askByProtocol(deps, primary), shell: primary.shell, query: primary.query }),
  );
}

/**
 * Connects to the server that `master_public_ip` and `port` of these deps name. A server that does not answer is a
 * value, so that all objections can be named at once.
 */
export async function withHost<T>(deps: StandbyDeps, use: (answer: HostAnswer) => Promise<T>): Promise<T> {
  const seen = { isConnected: false };
  try {
    return await connect(deps, async (host) => {
      const places = [[deps.settings.pgdata], [host.facts.dataDirectory]] as const;
      const overlaps = await findOverlaps(deps.run, host.shell, ...places);
      const isSelf = overlaps.some(({ overlap }) => overlap === 'same');
      seen.isConnected = true;
      return use({ kind: 'host', host, isSelf });
    });
  } catch (error) {
    if (seen.isConnected || !(error instanceof PitrError)) throw error;
    return use({ kind: 'silent', error });
  }
}

/** Ends a segment there and returns its name. */
export async function endSegmentThere({ facts, query }: Host): Promise<SegmentName> {
  await query(writeWalRecordSql);
  const name = parseWalName((await query(switchWalSql(facts.capabilities)))[0]?.[0] ?? '');
  if (name.kind === 'segment') return name;
  throw new PitrError(`the server there names no WAL segment but "${name.text}"`);
}
