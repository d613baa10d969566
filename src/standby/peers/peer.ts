/** The other host of a switchover: the old primary's. Its cmd_standby is asked, by verbs alone. */
import { PitrError } from '../../errors.ts';
import { quoted } from '../../system/printable.ts';
import type { StandbyCommand } from '../../system/sentinel.ts';
import type { RemoteShell, SshTarget } from '../../system/ssh.ts';
import { sshTarget } from '../../system/ssh-target.ts';
import { callVerb, type VerbResult } from '../../verbs/call.ts';
import { keepAnswerer, type KeptAnswerer } from '../../verbs/kept.ts';
import type { AnswerOf, ArgumentsOf, VerbName } from '../../verbs/verbs.ts';
import type { StandbyDeps } from '../deps.ts';
import { ownCommand } from '../host/own-command.ts';

export interface Peer {
  readonly host: string;
  /** The kept connection; undefined if the host could not be reached. */
  readonly shell: RemoteShell | undefined;
  /** How cmd_standby is called there. */
  readonly command: StandbyCommand;
  /** Asks once. Throws if there is no answer, or if the other end refuses. */
  readonly call: Ask;
  /** From now on `call` starts no program there, if that is possible: each start would be part of the write outage. */
  readonly keepAnswerer: () => Promise<void>;
  /** The same over a connection of its own, for a kept one that may be lost. */
  readonly callAnew: Ask;
}

type Ask = <Name extends VerbName>(
  name: Name,
  args: ArgumentsOf<Name>,
  limitMs: number,
) => Promise<AnswerOf<Name>>;

/** How cmd_standby is called on the host of the primary. */
export function peerCommand(deps: StandbyDeps): StandbyCommand {
  const own = ownCommand(deps);
  const { peer_program: program, peer_ini: iniFile } = deps.settings;
  return { program: program ?? own.program, iniFile: iniFile ?? own.iniFile };
}

/** The name by which the other hosts reach this one. */
export function publicName({ settings, hostName }: Pick<StandbyDeps, 'settings' | 'hostName'>): string {
  return settings.public_ip ?? hostName;
}

const connectionHint =
  'It must work by hand, without a password; peer_program: and peer_ini: say how cmd_standby is called there.';

function answerOf<Name extends VerbName>(
  shell: RemoteShell,
  command: StandbyCommand,
  name: Name,
  result: VerbResult<Name>,
): AnswerOf<Name> {
  if (result.kind === 'answered') return result.answer;
  if (result.kind === 'refused') {
    throw new PitrError(result.reason, {
      hint: `Check by hand, on ${shell.target.host}: ${command.program} -C ${command.iniFile}`,
    });
  }
  throw new PitrError(`lost the connection to ${shell.target.host} while it was asked to ${name}`, {
    detail: quoted(result.reason),
  });
}

function unreachable(target: SshTarget, reason: string): PitrError {
  return new PitrError(`cannot reach ${target.user}@${target.host} over ssh`, {
    detail: quoted(reason),
    hint: connectionHint,
  });
}

const startLimitMs = 60_000;

function peerOf(
  deps: StandbyDeps,
  target: SshTarget,
  shell: RemoteShell | undefined,
  reason: string,
): { readonly peer: Peer; readonly end: () => void } {
  const command = peerCommand(deps);
  const callAnew: Ask = async (name, args, limitMs) => {
    const used = await deps.withRemoteShell(deps, target, async (own) =>
      answerOf(own, command, name, await callVerb(own, command, name, args, limitMs)),
    );
    if (used.kind === 'used') return used.value;
    throw unreachable(target, used.reason);
  };
  let kept: KeptAnswerer | undefined;
  const call: Ask = async (name, args, limitMs) => {
    if (shell === undefined) throw unreachable(target, reason);
    const result =
      (await kept?.call(name, args, limitMs)) ?? (await callVerb(shell, command, name, args, limitMs));
    return answerOf(shell, command, name, result);
  };
  const keep = async (): Promise<void> => {
    if (shell === undefined || kept !== undefined) return;
    const answerer = keepAnswerer(shell, command);
    const first = await answerer.call('status', {}, startLimitMs);
    // One that does not answer is left alone: each call then starts the program, and shows what is wrong.
    if (first?.kind === 'answered') kept = answerer;
    else answerer.end();
  };
  const peer = { host: target.host, shell, command, call, keepAnswerer: keep, callAnew };
  return { peer, end: () => kept?.end() };
}

/** Keeps one connection to the host. If there is none, `use` runs all the same: each of its questions then fails. */
export async function withPeer<T>(
  deps: StandbyDeps,
  host: string,
  use: (peer: Peer) => Promise<T>,
): Promise<T> {
  const place = { ...deps.settings, host, what: `the old primary ${host}` };
  const target = { ...(await sshTarget(place, deps.settings)), allowsNoise: true };
  const used = await deps.withRemoteShell(deps, target, async (shell) => {
    const { peer, end } = peerOf(deps, target, shell, '');
    try {
      return await use(peer);
    } finally {
      end();
    }
  });
  return used.kind === 'used' ? used.value : use(peerOf(deps, target, undefined, used.reason).peer);
}
