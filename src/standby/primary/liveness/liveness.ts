import { messageOf, PitrError } from '../../../errors.ts';
import type { ClockOffset } from '../../../system/remote-clock.ts';
import { readSentinel } from '../../../system/sentinel.ts';
import { sshTarget } from '../../../system/ssh-target.ts';
import type { StandbyDeps } from '../../deps.ts';
import { readRecord } from '../../host/backup-record/record.ts';
import { readControlFile } from '../../server/data-directory.ts';
import { psqlTarget } from '../../server/database.ts';
import { type ServerIdentity, unknownIdentity } from './identity.ts';
import { type Neighbour, ownNetworkFault } from './own-network.ts';
import { type ProbePort, probePort } from './port-probe.ts';
import { probeRemote, type RemoteLook } from './remote-probe.ts';
import { judgeLiveness, type Liveness, type PortAnswer, type RemoteAnswer } from './verdict.ts';

/** This host's record of its primary. */
interface KnownPrimary {
  /** The place of its server on its host, as -B or -I recorded it. */
  readonly pgdata: string | undefined;
  /** Decimal. */
  readonly systemIdentifier: string | undefined;
}

/** A file that cannot be read counts as unknown: every question about the primary must be answered with the archive gone. */
async function knownPrimary({ settings }: Pick<StandbyDeps, 'settings'>): Promise<KnownPrimary> {
  const sentinel = await readSentinel(settings.archivedir).catch(() => undefined);
  const record = await readRecord(settings.pgdata).catch(() => undefined);
  const control = await readControlFile(settings.pgdata).catch(() => undefined);
  return {
    pgdata: sentinel?.primaryPgdata ?? record?.backup?.primaryPgdata,
    systemIdentifier: sentinel?.systemIdentifier ?? control?.systemIdentifier,
  };
}

/** The answers to the two questions. */
export interface PrimaryLook {
  readonly liveness: Liveness;
  readonly identity: ServerIdentity;
  readonly known: KnownPrimary;
  /** The clock of its host; undefined if nobody asked it over ssh, or it did not say. */
  readonly clock: ClockOffset | undefined;
}

/** If ssh cannot be found, nothing was asked. */
function noLook(error: unknown): RemoteLook {
  const reason = messageOf(error);
  const check = error instanceof PitrError ? error.hint : undefined;
  const answer: RemoteAnswer =
    check === undefined ? { kind: 'unreachable', reason } : { kind: 'unasked', reason, check };
  return { answer, identity: unknownIdentity };
}

async function lookThere(
  deps: StandbyDeps,
  known: KnownPrimary,
  wantsIdentity: boolean,
  signal: AbortSignal,
): Promise<RemoteLook> {
  const { settings } = deps;
  const wanted = { systemIdentifier: known.systemIdentifier, identity: wantsIdentity };
  const limitMs = settings.failover_probe_timeout * 1000;
  try {
    const place = { ...settings, host: settings.master_public_ip, what: 'the primary' };
    const target = await sshTarget(place, settings);
    const psql = psqlTarget(settings, settings.master_local_ip, settings.port);
    const question = { ...psql, primaryPgdata: known.pgdata, limitS: settings.failover_probe_timeout };
    return await probeRemote(deps, target, question, wanted, limitMs, signal);
  } catch (error) {
    return noLook(error);
  }
}

function otherHosts({ settings }: StandbyDeps): readonly Neighbour[] {
  const { basebackup_source: host, basebackup_source_port: port } = settings;
  return host === undefined ? [] : [{ host, port: port ?? settings.port }];
}

/** An address that does not answer looks the same if the fault is this host's own. */
async function withoutOwnFault(
  deps: StandbyDeps,
  liveness: Liveness,
  port: PortAnswer,
  leftMs: number,
  probe: ProbePort,
): Promise<Liveness> {
  if (liveness.kind !== 'unreachable') return liveness;
  const address =
    port.kind === 'no-route' ? port.address : port.kind === 'none' ? port.timedOutAt : undefined;
  if (address === undefined) return liveness;
  const fault = await ownNetworkFault(address, port.kind === 'no-route', otherHosts(deps), leftMs, probe);
  if (fault === undefined) return liveness;
  const check = 'Check the network of this host.';
  return { kind: 'unasked', reason: `${liveness.reason}; ${fault}`, check };
}

/** The gateway is asked after EHOSTUNREACH, which takes 3 s: a second is enough for a neighbour. */
const leastMs = 1_000;

/**
 * Asks in both ways at once, under one limit: the port as a client would, and the primary's host over ssh, which also
 * finds a server that only listens on localhost.
 *
 * @param wantsIdentity waits for ssh although the port answers, and asks the server what it is
 */
export async function lookAtPrimary(
  deps: StandbyDeps,
  wantsIdentity: boolean,
  probe: ProbePort = probePort,
): Promise<PrimaryLook> {
  const { settings } = deps;
  const known = await knownPrimary(deps);
  const limitMs = settings.failover_probe_timeout * 1000;
  const endMs = deps.monotonicMs() + limitMs;
  const enough = new AbortController();
  const port = probe(settings.master_public_ip, settings.port, limitMs, enough.signal);
  const remote = lookThere(deps, known, wantsIdentity, enough.signal);
  // If one answer already proves that the primary is alive, we do not wait for the other.
  void port.then(({ kind }) => {
    if (kind === 'postgresql' && !wantsIdentity) enough.abort();
  });
  void remote.then(({ answer }) => {
    if (answer.kind === 'alive') enough.abort();
  });
  const [portAnswer, { answer, identity, clock }] = [await port, await remote];
  const place = `${settings.master_public_ip}:${settings.port}`;
  const judged = judgeLiveness(place, portAnswer, answer);
  const leftMs = Math.max(leastMs, endMs - deps.monotonicMs());
  const liveness = await withoutOwnFault(deps, judged, portAnswer, leftMs, probe);
  deps.log.debug(`primary: ${JSON.stringify({ port: portAnswer, remote: answer, liveness, identity })}`);
  return { liveness, identity, known, clock };
}

/** Whether the primary is alive. */
export async function probePrimary(deps: StandbyDeps): Promise<Liveness> {
  return (await lookAtPrimary(deps, false)).liveness;
}
