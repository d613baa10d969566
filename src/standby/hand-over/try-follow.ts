import { PitrError } from '../../errors.ts';
import type { AnswerOf, ArgumentsOf } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { toward } from '../follow/facts.ts';
import { type HostAnswer, withHost } from '../follow/host.ts';
import { identifyByProtocol } from '../primary/protocol/protocol-primary.ts';
import { noSlot, ownSlotObjections } from '../slot/own-slot.ts';
import type { Objection } from '../steps/objections.ts';

type Problem = AnswerOf<'try-follow'>['problems'][number];

function problemOf({ message, detail, hint }: PitrError): Problem {
  return { message: [message, detail].filter(Boolean).join(': '), hint };
}

function problemsOf(answer: HostAnswer, host: string, cluster: string): readonly Problem[] {
  if (answer.kind === 'silent') return [problemOf(answer.error)];
  const { systemIdentifier, slot = noSlot } = answer.host.facts;
  // By then the slot may have been made there.
  if (systemIdentifier === cluster)
    return ownSlotObjections(slot, undefined, true).map(({ message, hint }) => ({ message, hint }));
  return [{ message: `${host} is a server of cluster ${systemIdentifier}` }];
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

/** `try-follow`: see src/verbs/verbs.ts. */
export async function tryFollow(
  deps: StandbyDeps,
  { host, port, cluster }: ArgumentsOf<'try-follow'>,
): Promise<AnswerOf<'try-follow'>> {
  const there = toward(deps, { host, port });
  const found = await Promise.all([tryAsking(there, cluster), tryStreaming(there)]);
  return { problems: found.flat().map(({ message, hint }) => ({ message, hint })) };
}
