import { PitrError } from '../../errors.ts';
import { isStreamSlot } from '../../postgres/stream-slot.ts';
import type { AnswerOf, ArgumentsOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { observeOwn, toward } from '../follow/facts.ts';
import { type HostAnswer, withHost } from '../follow/host.ts';
import { type Address, observeIni } from '../follow/ini-file.ts';
import { iniObjections, ownObjections } from '../follow/plan.ts';
import { identifyByProtocol } from '../primary/protocol/protocol-primary.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { limitsAsStandby, limitsOfServer } from '../server/limits.ts';
import { parametersOfServer } from '../server/parameters.ts';
import type { Server } from '../server/server.ts';
import { readConfiguration } from '../server/server-configuration.ts';
import { observeServer, type ServerState } from '../server/server-state.ts';
import { ownSlotName } from '../slot/own-name.ts';
import { noSlot, ownSlotObjections } from '../slot/own-slot.ts';
import { type Objection, objectionsOf } from '../steps/objections.ts';
import { findOwnServer } from './own-server.ts';

type Answer = AnswerOf<'try-follow'>;
type Problem = Answer['problems'][number];

function problemOf({ message, detail, hint }: PitrError): Problem {
  return { message: [message, detail].filter(Boolean).join(': '), hint };
}

function problemsOf(answer: HostAnswer, host: string, cluster: string): readonly Problem[] {
  if (answer.kind === 'silent') return [problemOf(answer.error)];
  const { systemIdentifier, slot = noSlot } = answer.host.facts;
  if (systemIdentifier !== cluster)
    return [{ message: `${host} is a server of cluster ${systemIdentifier}` }];
  if (answer.isSelf)
    return [{ message: `${host} leads to this host itself`, hint: 'Correct its name or its address here.' }];
  // By then the slot may have been made there.
  return ownSlotObjections(slot, undefined, true).map(({ message, hint }) => ({ message, hint }));
}

/** The connection by which a standby is made to follow: ssh, and psql there. */
async function tryAsking(deps: StandbyDeps, cluster: string): Promise<readonly Problem[]> {
  return withHost(deps, (answer) =>
    Promise.resolve(problemsOf(answer, deps.settings.master_public_ip, cluster)),
  );
}

/** The server there answers as it will answer the standby. */
async function tryStreaming(deps: StandbyDeps): Promise<readonly Objection[]> {
  const { use_streaming_replication: streams, master_public_ip: host, port } = deps.settings;
  if (!streams) return [];
  try {
    await identifyByProtocol(deps, host, port);
    return [];
  } catch (error) {
    if (!(error instanceof PitrError)) throw error;
    return [problemOf(error)];
  }
}

/** A slot that the operator has named: ours is made there. */
async function slotOf(server: Server, { record }: DataDirectory): Promise<string | undefined> {
  if (ownSlotName(server.deps, server.capabilities, record) !== undefined) return undefined;
  const answer = await parametersOfServer(server, ['primary_slot_name']);
  const name = answer.kind === 'answered' ? answer.value.get('primary_slot_name') : undefined;
  return name === undefined || name === '' || isStreamSlot(name) ? undefined : name;
}

/** A standby that runs is perhaps only reloaded; any other server will be started with the files of that role. */
async function limitsHere(server: Server, state: ServerState): Promise<Answer['limits']> {
  if (state.kind === 'recovering') return Object.fromEntries(await limitsOfServer(server));
  const configuration = await readConfiguration(server, 'standby').catch(() => undefined);
  if (configuration === undefined) return {};
  return Object.fromEntries(await limitsAsStandby(server, configuration));
}

/** The objections of a standby here to itself; of a primary, see `primary-facts`. */
async function listOwnProblems(
  deps: StandbyDeps,
  state: ServerState,
  address: Address,
): Promise<readonly Objection[]> {
  if (state.kind === 'production') return [];
  let found: readonly Objection[] = [];
  const failed = await objectionsOf([
    async () => {
      const own = await observeOwn(deps, address);
      found = ownObjections({ ...own, request: { address, expected: undefined, mayBePrimary: true } });
    },
  ]);
  return [...failed, ...found];
}

/** `try-follow`: see src/verbs/verbs.ts. */
export async function tryFollow(
  deps: StandbyDeps,
  { host, port, cluster }: ArgumentsOf<'try-follow'>,
): Promise<Answer> {
  const address = { host, port };
  const { server, directory } = await findOwnServer(deps, cluster);
  const there = toward(deps, address);
  const state = await observeServer(server);
  const slot = await slotOf(server, directory);
  const found = await Promise.all([
    tryAsking(there, cluster),
    tryStreaming(there),
    listOwnProblems(deps, state, address),
  ]);
  const ini = iniObjections(await observeIni(deps, address), address, deps.iniFile);
  const streams = deps.settings.use_streaming_replication && server.capabilities.streaming;
  return {
    problems: [...found.flat(), ...ini].map(({ message, hint }) => ({ message, hint })),
    limits: await limitsHere(server, state),
    ...(streams ? { streamsAs: deps.hostName, ...(slot === undefined ? {} : { slot }) } : {}),
  };
}
