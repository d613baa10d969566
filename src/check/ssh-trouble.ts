/** The reason why a host cannot be reached by ssh, from ssh's own words. Pure. */
import { quoted } from '../system/printable.ts';
import { shellQuote } from '../system/shell-quote.ts';
import type { SshTarget } from '../system/ssh.ts';
import { failure, type Verdict } from './check.ts';

/** Where the host is named in the INI files, and the way to correct it. */
export interface SshPlaceWords {
  /** `slaves`, or `master_public_ip`. */
  readonly key: string;
  /** The system user who runs this. */
  readonly me: string;
}

/** A word of a command for a person to type: plain ones need no quotes. */
const typed = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : shellQuote(word));

/** The command that must work by hand. */
function sshByHand({ ssh, user, host }: SshTarget): string {
  return [ssh.program, ...ssh.args, '-l', user, host, 'true'].map(typed).join(' ');
}

function changedKey(target: SshTarget, said: string): Verdict | undefined {
  if (!/REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed/.test(said)) return undefined;
  const [, kind = '', file = '', line = ''] = /Offending (\S+ )?key in (.+?):(\d+)\s*$/m.exec(said) ?? [];
  const name = /Host key for (\S+) has changed/.exec(said)?.[1] ?? target.host;
  const place =
    file === '' ? 'the one that is known here' : `the ${kind}key in ${quoted(file, 200)}, line ${line}`;
  const remove = file === '' ? '' : `-f ${typed(quoted(file, 200))} `;
  return failure(
    `the host key of ${target.host} is not ${place}: it was changed there, or another host answers`,
    `If it was changed on purpose, remove the old one: ssh-keygen ${remove}-R ${typed(quoted(name, 100))}; then take the new one, after comparing its fingerprint: ${sshByHand(target)}`,
  );
}

function unknownKey(target: SshTarget, said: string): Verdict | undefined {
  if (!/No \S+ host key is known for|Host key verification failed/.test(said)) return undefined;
  return failure(
    `the host key of ${target.host} is not known here, and ssh is not allowed to accept it`,
    `Compare its fingerprint and accept it once by hand: ${sshByHand(target)}`,
  );
}

function notAuthorised(target: SshTarget, said: string, { me }: SshPlaceWords): Verdict | undefined {
  if (!/Permission denied|Too many authentication failures|authentication methods? available/i.test(said))
    return undefined;
  return failure(
    `${target.host} does not let us in as user ${target.user}: no key of ${me} is authorised there`,
    `Append the public key of ${me} to ~${target.user}/.ssh/authorized_keys on ${target.host}; then this must work without a prompt: ${sshByHand(target)}`,
  );
}

function noSuchName(target: SshTarget, said: string, { key }: SshPlaceWords): Verdict | undefined {
  if (!/Could not resolve hostname|Name or service not known/.test(said)) return undefined;
  return failure(
    `there is no host of the name ${target.host}`,
    `Correct it in ${key}: in the INI file, or make the name known here (DNS, /etc/hosts, ~/.ssh/config).`,
  );
}

function noAnswer(target: SshTarget, said: string): Verdict | undefined {
  const match =
    /Connection refused|timed out|No route to host|Network is unreachable|Connection closed|reset by peer|no answer within/i.exec(
      said,
    );
  if (match === null) return undefined;
  return failure(
    `${target.host} does not answer by ssh: ${match[0]}`,
    `Check that the host runs, its sshd, its port and the firewalls between; then: ${sshByHand(target)}`,
  );
}

/** ssh itself fails with 255; any other status is that of what ran there instead of sh. */
function noShell(target: SshTarget, said: string, reason: string): Verdict | undefined {
  const isOther = /exit status (?!255\b)\d+/.test(reason);
  if (!isOther && !/rrsync|SSH_ORIGINAL_COMMAND|account is currently not available/.test(said))
    return undefined;
  return failure(
    `${target.host} lets us in, but runs no sh for us: ${quoted(reason)}`,
    `Our key there may run one command only (command= in ~${target.user}/.ssh/authorized_keys, or rrsync), or ${target.user} has no login shell: both sh and rsync must be run as we ask.`,
  );
}

/**
 * @param reason why the connection was lost
 * @param said all that ssh printed
 */
export function judgeSshFailure(
  target: SshTarget,
  reason: string,
  said: string,
  words: SshPlaceWords,
): Verdict {
  const text = `${said}\n${reason}`;
  return (
    changedKey(target, text) ??
    notAuthorised(target, text, words) ??
    unknownKey(target, text) ??
    noSuchName(target, text, words) ??
    noAnswer(target, text) ??
    noShell(target, text, reason) ??
    failure(
      `${target.host} cannot be reached: ${quoted(reason)}`,
      `This must work by hand: ${sshByHand(target)}`,
    )
  );
}
