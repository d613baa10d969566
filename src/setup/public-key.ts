/** Public keys of ssh, as they are in a .pub file, on a command line and in authorized_keys. Pure. */
import { printable } from '../system/printable.ts';

export interface PublicKey {
  readonly type: string;
  /** In base64. */
  readonly blob: string;
  readonly comment: string;
}

const shape =
  /^((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[\w.@-]{1,60}) ([A-Za-z0-9+/]{40,8000}={0,2})(?: (.{0,200}))?$/;

/** The key's binary form begins with its type, after the length of that. */
function beginsWith(blob: string, type: string): boolean {
  const bytes = Buffer.from(blob, 'base64');
  if (bytes.length < 4) return false;
  const length = bytes.readUInt32BE(0);
  return bytes.subarray(4, 4 + length).toString('latin1') === type;
}

/** Undefined for any other text, also for a key with options before it. */
export function parsePublicKey(text: string): PublicKey | undefined {
  const line = text.trim();
  if (line.includes('\n') || printable(line) !== line || line.includes('\t')) return undefined;
  const [, type = '', blob = '', comment = ''] = shape.exec(line) ?? [];
  if (type === '' || !beginsWith(blob, type)) return undefined;
  // It is printed in single quotes, for a shell.
  return { type, blob, comment: comment.replaceAll(/[^\w.@+:-]/g, '_') };
}

export function keyText({ type, blob, comment }: PublicKey): string {
  return comment === '' ? `${type} ${blob}` : `${type} ${blob} ${comment}`;
}

/** The line in authorized_keys that lets the other host in: this is the one place where it gets its form. */
export function authorizedLine(key: PublicKey): string {
  return keyText(key);
}

/** Whether authorized_keys has a key, with whatever options. */
export function isAuthorized(authorizedKeys: string, { type, blob }: PublicKey): boolean {
  return authorizedKeys
    .split('\n')
    .some((line) => !line.trimStart().startsWith('#') && ` ${line} `.includes(` ${type} ${blob} `));
}
