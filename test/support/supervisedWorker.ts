import type { Application, RunningWorker, WorkerOptions } from './application.ts';

/** A worker as an init system keeps one: where it dies, the next is started at once. */
export interface SupervisedWorker {
  /** The one that runs, or the last that did. */
  readonly current: RunningWorker;
  /** Kills the process with SIGKILL, as the kernel does when memory is short, and waits until its replacement serves. */
  kill(): Promise<void>;
  /** SIGKILL without a replacement; `restart` brings it. */
  killOnly(): void;
  restart(): Promise<void>;
}

export async function superviseWorker(app: Application, options?: WorkerOptions): Promise<SupervisedWorker> {
  let current = await app.startWorker(options);
  const killOnly = () => void process.kill(current.pid, 'SIGKILL');
  const restart = async () => {
    current = await app.startWorker(options);
  };
  return {
    get current() {
      return current;
    },
    killOnly,
    restart,
    kill: async () => {
      killOnly();
      await restart();
    },
  };
}
