/** The other host of a switchover: the old primary's. Its cmd_standby is asked, by verbs alone. */
import { PitrError } from '../../errors.ts';
import { quoted } from '../../system/printable.ts';
import type { StandbyCommand } from '../../system/sentinel.ts';
import type { RemoteShell, SshTarget } from '../../system/ssh.ts';
import { sshTarget } from '../../system/ssh-target.ts';
import { callVerb } from '../../verbs/call.ts';
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
  /** The same over a connection of its own, for a kept one that may be lost. */
  readonly callAnew: Ask;
}

type Ask = <Name extends VerbName>(
  name: Name,
  args: ArgumentsOf<Name>,
  limitMs: number,
) => Promise<AnswerOf<Name>>;

/** How cmd_standby is called on the host of the primary. */
function peerCommand(deps: StandbyDeps): StandbyCommand {
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

async function ask<Name extends VerbName>(
  shell: RemoteShell,
  command: StandbyCommand,
  name: Name,
  args: ArgumentsOf<Name>,
  limitMs: number,
): Promise<AnswerOf<Name>> {
  const result = await callVerb(shell, command, name, args, limitMs);
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

function peerOf(deps: StandbyDeps, target: SshTarget, shell: RemoteShell | undefined, reason: string): Peer {
  const command = peerCommand(deps);
  const callAnew: Ask = async (name, args, limitMs) => {
    const used = await deps.withRemoteShell(deps, target, (own) => ask(own, command, name, args, limitMs));
    if (used.kind === 'used') return used.value;
    throw unreachable(target, used.reason);
  };
  const call: Ask = async (name, args, limitMs) => {
    if (shell === undefined) throw unreachable(target, reason);
    return ask(shell, command, name, args, limitMs);
  };
  return { host: target.host, shell, command, call, callAnew };
}

/** Keeps one connection to the host. If there is none, `use` runs all the same: each of its questions then fails. */
export async function withPeer<T>(
  deps: StandbyDeps,
  host: string,
  use: (peer: Peer) => Promise<T>,
): Promise<T> {
  const place = { ...deps.settings, host, what: `the old primary ${host}` };
  const target = { ...(await sshTarget(place, deps.settings)), allowsNoise: true };
  const used = await deps.withRemoteShell(deps, target, (shell) => use(peerOf(deps, target, shell, '')));
  return used.kind === 'used' ? used.value : use(peerOf(deps, target, undefined, used.reason));
}
