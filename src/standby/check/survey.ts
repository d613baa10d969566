/** The facts that one connection to the primary shows: everything that --check has to say of that host and its server. */
import type { Verdict } from '../../check/check.ts';
import { verdictOfError } from '../../check/check.ts';
import {
  defaultTablespaceOid,
  findHelpers,
  type Helpers,
  installedHelpersSql,
  parseTablespaceSizes,
  tablespaceSizesSql,
} from '../../postgres/backup-sql.ts';
import { collationsSql, icuSql } from '../../postgres/server-sql.ts';
import { quoted } from '../../system/printable.ts';
import { type ClockOffset, clockOffset } from '../../system/remote-clock.ts';
import { remoteRsync } from '../../system/rsync.ts';
import type { StandbyCommand } from '../../system/sentinel.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import { type RemoteShell, type SshTarget } from '../../system/ssh.ts';
import { sshTarget } from '../../system/ssh-target.ts';
import { dataWork } from '../../verbs/data-requests.ts';
import type { StandbyDeps } from '../deps.ts';
import { type LocalPlace, observeLocalPlace } from '../host/place.ts';
import { askFacts, type Primary, type PrimaryFacts, readRemoteControl } from '../primary/primary.ts';
import { withPrimaryByProtocol } from '../primary/protocol/protocol-primary.ts';
import { type Query, type ServerSession, withSession } from '../primary/session.ts';
import { psqlTarget } from '../server/database.ts';

/** A value, or the verdict that says why there is none. */
type Got<T> =
  { readonly kind: 'got'; readonly value: T } | { readonly kind: 'not'; readonly verdict: Verdict };

async function tryTo<T>(ask: () => Promise<T>): Promise<Got<T>> {
  try {
    return { kind: 'got', value: await ask() };
  } catch (error) {
    return { kind: 'not', verdict: verdictOfError(error) };
  }
}

export interface ServerFacts {
  readonly facts: PrimaryFacts;
  /** Undefined where -B needs none. */
  readonly helpers: Got<Helpers> | undefined;
  /** How this host's directories stand to the primary's. */
  readonly place: Got<LocalPlace>;
  /** Bytes of the data directory without tablespaces elsewhere; undefined if the role lacks the right to ask. */
  readonly size: Got<number | undefined>;
  /** Undefined before 15. */
  readonly collations: Got<readonly (readonly string[])[] | undefined>;
  readonly icu: Got<readonly (readonly string[])[]>;
}

export interface HostFacts {
  /** Undefined if it did not say its time. */
  readonly clock: ClockOffset | undefined;
  /** The login is limited to a forced command. */
  readonly isForced: boolean;
  readonly rsync: string;
  /** `glibc 2.36`; empty if it did not say. */
  readonly libc: string;
  readonly program: string;
  /** The INI file by which a switchover calls it exists there. */
  readonly hasIni: boolean;
}

export type Surveyed =
  /** `host` is undefined where the INI file allows no ssh to the primary. */
  | { readonly kind: 'reached'; readonly host: Got<HostFacts> | undefined; readonly server: Got<ServerFacts> }
  | {
      readonly kind: 'not reached';
      readonly target: SshTarget;
      readonly reason: string;
      /** A login there prints text. */
      readonly isNoisy: boolean;
      readonly said: string;
    };

const limitMs = 20_000;

function quietly(deps: StandbyDeps): StandbyDeps {
  const { log } = deps;
  const debug = (message: string) => {
    log.debug(message);
  };
  return { ...deps, log: { ...log, notice: debug, warning: debug } };
}

async function askServer(
  deps: StandbyDeps,
  primary: Primary,
  helpers: ServerFacts['helpers'],
): Promise<ServerFacts> {
  const { facts, query } = primary;
  const { capabilities } = facts;
  const size = await tryTo(async () =>
    parseTablespaceSizes(await query(tablespaceSizesSql(capabilities))).get(defaultTablespaceOid),
  );
  const collations = await tryTo(async () => {
    const sql = collationsSql(capabilities);
    return sql === undefined ? undefined : query(sql);
  });
  const icu = await tryTo(async () => {
    const sql = icuSql(capabilities);
    return sql === undefined ? [] : query(sql);
  });
  // A dry look: it must not write, even for a moment.
  const place = await tryTo(() => observeLocalPlace(quietly(deps), primary, false));
  return { facts, helpers, place, size, collations, icu };
}

/** As for a base backup, but missing helper functions are reported by a check of their own. */
async function factsBySsh(shell: RemoteShell, query: Query): Promise<PrimaryFacts> {
  const asked = await askFacts(query);
  const { dataDirectory } = asked.settings;
  if (dataDirectory === undefined)
    throw new Error('the role that asks cannot read the setting data_directory of the primary');
  const { control } = await readRemoteControl(shell, dataDirectory);
  return {
    ...asked,
    helperSchema: undefined,
    dataDirectory,
    systemIdentifier: control.systemIdentifier,
    control,
  };
}

async function askHost(
  deps: StandbyDeps,
  shell: RemoteShell,
  { program, iniFile }: StandbyCommand,
): Promise<HostFacts> {
  const place = { program: shellQuote(program), rsync: remoteRsync(deps.settings.rsync_flags) };
  const work = dataWork('host-facts', { ini: iniFile }, place);
  const beforeMs = deps.now();
  const result = await shell.run(work, { limitMs });
  const afterMs = deps.now();
  // It is not known then, which is something else than not allowed.
  if (result.kind === 'lost')
    throw new Error(`${shell.target.host} did not say what it has: ${quoted(result.reason, 300)}`);
  const after = (word: string): string =>
    result.lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1) ?? '';
  return {
    clock: clockOffset(result.lines, beforeMs, afterMs),
    // A key that is restricted to our own program does all that is needed.
    isForced: shell.served === undefined && result.lines.includes('forced'),
    hasIni: result.lines.includes('ini'),
    rsync: after('rsync'),
    libc: after('libc'),
    program: after('program'),
  };
}

/** @param command how cmd_standby is called there */
export async function surveyPrimary(deps: StandbyDeps, command: StandbyCommand): Promise<Surveyed> {
  const { settings } = deps;
  if (settings.basebackup_method !== 'rsync')
    return {
      kind: 'reached',
      host: undefined,
      server: await tryTo(() =>
        withPrimaryByProtocol(deps, (primary) => askServer(deps, primary, undefined)),
      ),
    };
  const { master_public_ip: host, master_local_ip: localAddress, port } = settings;
  const target = await sshTarget({ ...settings, host, what: 'the primary' }, settings);
  const psql = psqlTarget(settings, localAddress, port);
  const bySession = async (shell: RemoteShell, session: ServerSession): Promise<ServerFacts> => {
    const primary = { shell, ...session, facts: await factsBySsh(shell, session.query) };
    const helpers = await tryTo(async () => findHelpers(await session.query(installedHelpersSql)));
    return askServer(deps, primary, helpers);
  };
  const connected = await deps.withRemoteShell(deps, target, async (shell): Promise<Surveyed> => ({
    kind: 'reached',
    host: await tryTo(() => askHost(deps, shell, command)),
    server: await tryTo(() =>
      withSession(quietly(deps), shell, psql, (session) => bySession(shell, session)),
    ),
  }));
  if (connected.kind === 'used') return connected.value;
  const { kind, reason } = connected;
  const said = connected.kind === 'unreachable' ? (connected.said ?? '') : '';
  return { kind: 'not reached', target, reason, isNoisy: kind === 'noisy', said };
}
