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
import { type RemoteShell, type SshTarget } from '../../system/ssh.ts';
import { sshTarget } from '../../system/ssh-target.ts';
import type { StandbyDeps } from '../deps.ts';
import { type LocalPlace, observeLocalPlace } from '../host/place.ts';
import { askFacts, type Primary, type PrimaryFacts, readRemoteControl } from '../primary/primary.ts';
import { withPrimaryByProtocol } from '../primary/protocol/protocol-primary.ts';
import { type Query, type ServerSession, withSession } from '../primary/session.ts';
import { psqlTarget } from '../server/database.ts';
import { collationsSql } from './collations.ts';

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
  readonly collations: Got<readonly (readonly string[])[]>;
}

export interface HostFacts {
  /** Its clock minus ours, in seconds; undefined if it did not say its time. */
  readonly skewS: number | undefined;
  /** Seconds that the question took. */
  readonly withinS: number;
  readonly rsync: string;
  /** `glibc 2.36`; empty if it did not say. */
  readonly libc: string;
  readonly program: string;
}

export type Surveyed =
  /** `host` is undefined where the INI file allows no ssh to the primary. */
  | { readonly kind: 'reached'; readonly host: HostFacts | undefined; readonly server: Got<ServerFacts> }
  | {
      readonly kind: 'not reached';
      readonly target: SshTarget;
      readonly reason: string;
      /** A login there prints text. */
      readonly isNoisy: boolean;
      readonly said: string;
    };

/** Also run on this host, to be compared. */
export const libcScript = 'getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 | head -1';

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
    return sql === undefined ? [] : query(sql);
  });
  // A dry look: it must not write, even for a moment.
  const place = await tryTo(() => observeLocalPlace(quietly(deps), primary, false));
  return { facts, helpers, place, size, collations };
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
  program: string,
): Promise<HostFacts | undefined> {
  const script = `LC_ALL=C; export LC_ALL
printf 'time %s\\n' "$(date +%s)"
rsync --version 2>&1 | sed -n '1s/^/rsync /p'
{ ${libcScript}; } | sed 's/^/libc /'
${program} --version 2>&1 | sed -n '1s/^/program /p'`;
  const beforeMs = deps.now();
  const result = await shell.run(script, { limitMs });
  const afterMs = deps.now();
  if (result.kind === 'lost') return undefined;
  const after = (word: string): string =>
    result.lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1) ?? '';
  const time = Number(after('time'));
  return {
    // It says whole seconds.
    skewS: time > 0 ? time + 0.5 - (beforeMs + afterMs) / 2000 : undefined,
    withinS: Math.max(0, afterMs - beforeMs) / 1000,
    rsync: after('rsync'),
    libc: after('libc'),
    program: after('program'),
  };
}

/** @param program the path of cmd_standby there, quoted for the shell */
export async function surveyPrimary(deps: StandbyDeps, program: string): Promise<Surveyed> {
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
    host: await askHost(deps, shell, program),
    server: await tryTo(() =>
      withSession(quietly(deps), shell, psql, (session) => bySession(shell, session)),
    ),
  }));
  if (connected.kind === 'used') return connected.value;
  const { kind, reason } = connected;
  const said = connected.kind === 'unreachable' ? (connected.said ?? '') : '';
  return { kind: 'not reached', target, reason, isNoisy: kind === 'noisy', said };
}
