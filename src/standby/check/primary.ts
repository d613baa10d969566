/** The checks of cmd_standby --check that ask the primary's host and its server. */
import { sizeText } from '../../amounts.ts';
import { dependent, failure, good, skipped, unknown, type Verdict } from '../../check/check.ts';
import { askRsync } from '../../check/here.ts';
import { judgeClock, judgeOtherProgram, judgeRsync } from '../../check/judge.ts';
import { judgeLogin } from '../../check/login.ts';
import { spaceOf } from '../../check/space.ts';
import { judgeSshFailure } from '../../check/ssh-trouble.ts';
import { installHint } from '../../postgres/backup-sql.ts';
import { untestedRelease } from '../../postgres/capabilities.ts';
import { collationsSql, icuSql, statisticsHint } from '../../postgres/server-sql.ts';
import { findLowLimits } from '../../postgres/standby-limits.ts';
import { nearestExisting } from '../../system/durable.ts';
import { isLoopback, isThisHost } from '../../system/own-addresses.ts';
import { quoted } from '../../system/printable.ts';
import { programVersion } from '../../system/program-root.ts';
import { noiseHint } from '../../system/ssh.ts';
import { libcScript } from '../../verbs/scripts/host-facts.ts';
import { placeObjections, serverObjections } from '../host/place.ts';
import { identifyByProtocol } from '../primary/protocol/protocol-primary.ts';
import { observeRewind } from '../rejoin/rewind-ability.ts';
import { databaseOf } from '../server/database.ts';
import { limitObjectionsOf, limitsBelow, limitsOfServer } from '../server/limits.ts';
import { serverOf } from '../server/server.ts';
import { readConfiguration } from '../server/server-configuration.ts';
import { withLocalServer } from '../server/server-state.ts';
import { judgeCollations, judgeIcu, judgeLibc } from './collations.ts';
import type { StandbyCheck } from './context.ts';
import { objected } from './local.ts';
import type { HostFacts, ServerFacts } from './survey.ts';

type Verdicts = Verdict | readonly Verdict[];

async function reached(check: StandbyCheck) {
  const surveyed = await check.primary().catch(() => undefined);
  return surveyed?.kind === 'reached' ? surveyed : undefined;
}

const notReached = dependent('the primary was not reached', 'ssh');
const notAsked = dependent('the server of the primary was not asked', 'sql');

async function withHost(
  check: StandbyCheck,
  judge: (host: HostFacts) => Verdicts | Promise<Verdicts>,
): Promise<Verdicts> {
  const surveyed = await reached(check);
  if (surveyed === undefined) return notReached;
  const { host } = surveyed;
  if (host === undefined) return skipped('the INI file allows no ssh to the primary');
  return host.kind === 'got' ? judge(host.value) : host.verdict;
}

async function withServer(
  check: StandbyCheck,
  judge: (server: ServerFacts) => Verdicts | Promise<Verdicts>,
): Promise<Verdicts> {
  const surveyed = await reached(check);
  if (surveyed === undefined) return notReached;
  return surveyed.server.kind === 'got' ? judge(surveyed.server.value) : notAsked;
}

/** Debian's /etc/hosts gives a host's own name 127.0.1.1: only what is written as an address is meant so. */
export async function checkHosts({ deps: { settings } }: StandbyCheck): Promise<Verdict> {
  const { master_public_ip: host } = settings;
  if (!(await isThisHost(host))) return good(`the primary, ${host}, is another host`);
  if (host === 'localhost' || isLoopback(host))
    return good(
      `master_public_ip "${host}" is this very host`,
      'That is right only if both servers run on this machine, or for a tunnel.',
    );
  return failure(
    `master_public_ip "${host}" is this very host`,
    'Run cmd_standby only on the standby, never on the primary; or correct master_public_ip:.',
  );
}

export async function checkSsh(check: StandbyCheck): Promise<Verdicts> {
  const { settings } = check.deps;
  const surveyed = await check.primary();
  if (surveyed.kind === 'reached') {
    const { host } = surveyed;
    return host === undefined
      ? skipped(`basebackup_method: is ${settings.basebackup_method}: ssh to the primary is not used`)
      : judgeLogin(
          `${settings.user}@${settings.master_public_ip}`,
          host.kind === 'got' && host.value.isForced,
        );
  }
  const { target, reason, isNoisy, said } = surveyed;
  if (isNoisy) return failure(reason, noiseHint);
  return judgeSshFailure(target, reason, said, { key: 'master_public_ip', me: check.me });
}

export async function checkSql(check: StandbyCheck): Promise<Verdict> {
  const surveyed = await reached(check);
  if (surveyed === undefined) return notReached;
  const { server } = surveyed;
  if (server.kind === 'not') return server.verdict;
  const { capabilities, settings } = server.value.facts;
  const says = `PostgreSQL ${capabilities.version.major} answers there`;
  const untested = untestedRelease(capabilities);
  if (!settings.inRecovery)
    return good(`${says}, and is a primary`, untested === undefined ? undefined : `${untested}.`);
  return failure(
    `${says}, but is itself a standby`,
    'Correct master_public_ip: and port:, or make this host follow the new primary: cmd_standby -C FILE --follow HOST',
  );
}

/** Everything that -I and -B would object to, apart from a server that runs here as it should. */
export function checkPlace(check: StandbyCheck): Promise<Verdicts> {
  return withServer(check, async ({ place, facts }) => {
    if (place.kind === 'not') return place.verdict;
    const isStandby = (await check.own())?.state.kind === 'recovering';
    const expected = new Set(serverObjections(place.value).map(({ message }) => message));
    const objections = placeObjections(place.value, facts).filter(
      ({ message }) => !(isStandby && expected.has(message)),
    );
    if (objections.length > 0) return objections.map(objected);
    return good(
      `cluster ${facts.systemIdentifier}: pgdata, archivedir, pgversion and pg_ctl here fit the primary, and no directory is its own`,
    );
  });
}

export function checkHelpers(check: StandbyCheck): Promise<Verdicts> {
  const { settings } = check.deps;
  return withServer(check, ({ helpers, facts }) => {
    if (helpers === undefined)
      return skipped(`basebackup_method: is ${settings.basebackup_method}: it needs none`);
    if (helpers.kind === 'not') return helpers.verdict;
    if (helpers.value.kind === 'found')
      return good(`the helper functions are in schema ${helpers.value.schema}`);
    const { missing } = helpers.value;
    return failure(
      `the primary lacks helper functions: ${missing.join(', ')}`,
      installHint(facts.capabilities, settings.user, databaseOf(settings)),
    );
  });
}

export async function checkStreaming({ deps }: StandbyCheck): Promise<Verdict> {
  const {
    use_streaming_replication: streams,
    master_public_ip: host,
    port,
    repl_db_user,
    user,
  } = deps.settings;
  if (!streams) return skipped('use_streaming_replication: is no');
  await identifyByProtocol(deps, host, port);
  return good(`${host}:${port} lets role "${repl_db_user ?? user}" replicate from here`);
}

/** The settings that a hot standby must not have lower, as it will be started and as it runs. */
export function checkLimits(check: StandbyCheck): Promise<Verdicts> {
  const { deps } = check;
  return withServer(check, async ({ facts }) => {
    const demanded = facts.settings.standbyLimits;
    const own = await check.own();
    if (own === undefined && deps.settings.pg_conf === undefined)
      return skipped('without a base backup and without pg_conf:, there are no settings here yet');
    const server = own?.server ?? serverOf(deps, facts.capabilities);
    const configuration = await readConfiguration(server, 'standby');
    const later = await limitsBelow(server, configuration, demanded);
    const now = own?.state.kind === 'recovering' ? findLowLimits(demanded, await limitsOfServer(server)) : [];
    const low = [...later, ...now.filter(({ name }) => !later.some((one) => one.name === name))];
    const objections = limitObjectionsOf(low, configuration);
    return objections.length > 0
      ? objections.map(objected)
      : good('no setting of a hot standby is lower here than on the primary');
  });
}

export function checkRoom(check: StandbyCheck): Promise<Verdicts> {
  const { pgdata } = check.deps.settings;
  return withServer(check, async ({ size, facts }) => {
    if (size.kind === 'not') return size.verdict;
    if ((await check.own()) !== undefined) return skipped('there is a base backup here already');
    if (size.value === undefined)
      return unknown(
        'the role that asks cannot read the size of the primary',
        `${statisticsHint(facts.capabilities)}.`,
      );
    const { freeBytes } = await spaceOf(await nearestExisting(pgdata));
    const says = `the data of the primary take ${sizeText(size.value)} without tablespaces elsewhere, and ${sizeText(freeBytes)} are free for ${pgdata}`;
    return freeBytes > size.value
      ? good(says)
      : failure(says, 'Free space there, or use another file system.');
  });
}

export function checkVersions(check: StandbyCheck): Promise<Verdicts> {
  const { master_public_ip: host, rsync: own, includepath } = check.deps.settings;
  const { run } = check.deps;
  return withHost(check, async ({ rsync, program }) => {
    const here = await askRsync(run, own, includepath);
    const other = judgeOtherProgram(host, program, programVersion());
    // Only a switchover and a rejoin call it there.
    const isThere = /^\d/.test(program);
    return [
      judgeRsync(host, { here, there: rsync }, undefined),
      isThere
        ? other
        : good(`cmd_standby does not run on ${host}`, 'Only --switchover needs it there (peer_program:).'),
    ];
  });
}

export function checkClock(check: StandbyCheck): Promise<Verdicts> {
  const { master_public_ip: host } = check.deps.settings;
  return withHost(check, ({ clock }) => judgeClock(host, clock));
}

type TextOrder = Pick<ServerFacts, 'collations' | 'icu'>;

/** The same questions to the server here; the verdict if it is not asked. */
async function textOrderHere(check: StandbyCheck): Promise<TextOrder | Verdict> {
  const own = await check.own();
  if (own?.state.kind !== 'recovering') return skipped('no standby runs here: its collations are not asked');
  const { capabilities } = own.server;
  const questions = [collationsSql(capabilities), icuSql(capabilities)];
  const answer = await withLocalServer(own.server, async (ask) => {
    const answers: (readonly (readonly string[])[] | undefined)[] = [];
    for (const sql of questions)
      answers.push(
        sql === undefined ? undefined : (await ask(sql)).map((row) => Object.values(row).map(String)),
      );
    return answers;
  });
  if (answer.kind !== 'answered')
    return unknown(`the collations of the server here are not known: ${quoted(answer.reason, 300)}`);
  const [collations, icu = []] = answer.value;
  return { collations: { kind: 'got', value: collations }, icu: { kind: 'got', value: icu } };
}

function judgeTextOrder(host: string, there: TextOrder, here: TextOrder | Verdict): readonly Verdict[] {
  const { collations, icu } = there;
  const ofPrimary =
    collations.kind === 'got' ? judgeCollations(host, collations.value) : [collations.verdict];
  if ('result' in here) return [...ofPrimary, here];
  const ofHere = here.collations.kind === 'got' ? judgeCollations('this host', here.collations.value) : [];
  const ofIcu = icu.kind === 'got' && here.icu.kind === 'got' ? judgeIcu(here.icu.value, icu.value) : [];
  return [...ofPrimary, ...ofHere, ...ofIcu, ...(icu.kind === 'not' ? [icu.verdict] : [])];
}

export async function checkLibrary(check: StandbyCheck): Promise<Verdicts> {
  const { deps } = check;
  const here = await deps.run({ program: '/bin/sh', args: ['-c', libcScript] }, { limitMs: 5_000 });
  const surveyed = await reached(check);
  if (surveyed === undefined) return notReached;
  const there = surveyed.host;
  const libc =
    there?.kind === 'not'
      ? there.verdict
      : judgeLibc(here.stdout.trim(), there === undefined ? undefined : there.value.libc);
  if (surveyed.server.kind === 'not') return [libc, notAsked];
  const { master_public_ip: host } = deps.settings;
  return [libc, ...judgeTextOrder(host, surveyed.server.value, await textOrderHere(check))];
}

/** Whether a server of this cluster could be rewound here, once another one has become the primary. */
export async function checkRewind(check: StandbyCheck): Promise<Verdict> {
  const { deps } = check;
  const own = await check.own();
  if (own === undefined) return skipped('there is no base backup here yet');
  const { master_public_ip: host, port } = deps.settings;
  const ability = await observeRewind(deps, own.directory, true, { host, port });
  if (ability.kind === 'able') return good(`pg_rewind is possible here, as role "${ability.role}"`);
  return good(
    `pg_rewind is not possible here: ${ability.reasons.join('; ')}`,
    'After a failover a former primary needs a base backup instead (doc/rejoin.md).',
  );
}
