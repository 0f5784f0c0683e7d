/** `pipit passwd`: the names and passwords of a password file. */

import { randomBytes } from 'node:crypto';
import { chmod, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { hashPassword, PasswordFileError, parsePasswords } from '@pipit/broker';
import { encodeUtf8 } from '@pipit/protocol';
import { CommandError, exitCodes, usageError } from './command-error.ts';
import type { PasswdArguments } from './passwd-options.ts';

/** Sets the password of a name, or removes the name. Resolves to 0; rejects with a CommandError. */
export async function passwdCommand(file: string, name: string, options: PasswdArguments): Promise<number> {
  if (name === '' || /[:\n\r]/.test(name) || name.startsWith('#')) {
    throw usageError('A name is not empty, has no colon and no line break in it, and does not begin with #.');
  }
  const lines = await linesOf(file);
  const others = lines.filter((line) => !line.startsWith(`${name}:`));
  if (options.delete === true) {
    if (others.length === lines.length) throw new CommandError(`${file} has nobody called ${name}.`, exitCodes.failure);
    await replace(file, others);
    return 0;
  }
  const password = await newPassword(options);
  if (password === '') throw usageError('The password is empty.');
  const kind = options.scram === true ? 'scram-sha-256' : 'scrypt';
  const entry = `${name}:${await hashPassword(kind, encodeUtf8(password), randomBytes(16))}`;
  const at = lines.findIndex((line) => line.startsWith(`${name}:`));
  await replace(file, at < 0 ? [...lines, entry] : lines.map((line, index) => (index === at ? entry : line)));
  return 0;
}

/** Every line but empty ones at the end; none when there is no file yet. A file that is no password file is left alone. */
async function linesOf(file: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw unusable(file, error);
  }
  try {
    parsePasswords(text);
  } catch (error) {
    if (!(error instanceof PasswordFileError)) throw error;
    throw new CommandError(`${file} is not a password file: ${error.problems[0]}.`, exitCodes.failure);
  }
  const lines = text.trimEnd().split('\n');
  return lines.length === 1 && lines[0] === '' ? [] : lines;
}

/** A broker that reads it meanwhile finds the old file or the new one, and so does whoever looks after a power cut. */
async function replace(file: string, lines: readonly string[]): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(lines.map((line) => `${line}\n`).join(''));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await chmod(draft, 0o600);
    await rename(draft, file);
    const folder = await open(dirname(file));
    await folder.sync().finally(() => folder.close());
  } catch (error) {
    await rm(draft, { force: true });
    throw unusable(file, error);
  }
}

function unusable(file: string, error: unknown): CommandError {
  return new CommandError(`${file} cannot be used: ${(error as Error).message}.`, exitCodes.failure);
}

async function newPassword({ passwordFile }: PasswdArguments): Promise<string> {
  if (passwordFile !== undefined) {
    const text = await readFile(passwordFile, 'utf8').catch((error: unknown) => {
      throw unusable(passwordFile, error);
    });
    return text.replace(/\r?\n$/, '');
  }
  if (!process.stdin.isTTY) return (await firstLine()).replace(/\r$/, '');
  const password = await hidden('Password: ');
  if (password !== (await hidden('Again: ')))
    throw new CommandError('These are two different passwords.', exitCodes.failure);
  return password;
}

async function firstLine(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.includes('\n')) break;
  }
  return text.split('\n')[0] ?? '';
}

/** What is typed is not shown. */
function hidden(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(prompt);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  return new Promise((done, failed) => {
    let text = '';
    const typed = (keys: string): void => {
      for (const key of keys) {
        if (key === '\r' || key === '\n' || key === '\u0004') return end(() => done(text));
        if (key === '\u0003') return end(() => failed(new CommandError('', exitCodes.failure)));
        text = key === '\u007f' || key === '\b' ? [...text].slice(0, -1).join('') : text + key;
      }
    };
    const end = (then: () => void): void => {
      stdin.off('data', typed);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      then();
    };
    stdin.on('data', typed);
    stdin.resume();
  });
}
