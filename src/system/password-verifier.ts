/** Passwords in the form in which a server stores them: the password itself never reaches the server or its log. */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

const iterations = 4096;

/** SCRAM-SHA-256 (RFC 5803). An ASCII password needs no SASLprep. */
function scram(password: string, salt: Buffer, rounds: number): string {
  const salted = pbkdf2Sync(password, salt, rounds, 32, 'sha256');
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  const serverKey = hmac('Server Key').toString('base64');
  return `SCRAM-SHA-256$${rounds}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}

function md5(password: string, role: string): string {
  return `md5${createHash('md5').update(`${password}${role}`).digest('hex')}`;
}

export type PasswordMethod = 'md5' | 'scram-sha-256';

export function passwordVerifier(method: PasswordMethod, role: string, password: string): string {
  return method === 'md5' ? md5(password, role) : scram(password, randomBytes(16), iterations);
}

/** Whether a stored verifier is that of this password. */
export function isVerifierOf(verifier: string, role: string, password: string): boolean {
  const [, rounds, salt] = /^SCRAM-SHA-256\$(\d{1,7}):([A-Za-z0-9+/=]+)\$/.exec(verifier) ?? [];
  const expected =
    rounds === undefined || salt === undefined
      ? md5(password, role)
      : scram(password, Buffer.from(salt, 'base64'), Number(rounds));
  const [one, other] = [Buffer.from(verifier), Buffer.from(expected)];
  return one.length === other.length && timingSafeEqual(one, other);
}

/** Letters and digits only: it needs no quotes in any file. */
export function newPassword(): string {
  return randomBytes(18).toString('base64').replaceAll(/[+/=]/g, 'x');
}
