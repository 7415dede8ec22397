/* SPDX-License-Identifier: MIT */
/* System V objects, POSIX message queues and the kernel's keys. */
#include "fidelity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

struct message {
	long type;
	char text[16];
};

static void messages(struct fid *f)
{
	struct message out = { 3, "three" }, in = { 0, "" };
	struct msqid_ds about = { 0 };
	int id = (int)CALL_OK("msgget", IPC_PRIVATE, IPC_CREAT | 0600);

	CALL_OK("msgget", 0x12345, 0);
	CALL("msgsnd", id, &out, 5, 0);
	out.type = 4;
	CALL("msgsnd", id, &out, 2, IPC_NOWAIT);
	CALL("msgctl", id, IPC_STAT, &about);
	fid_note(f, "messages %lu\n", (unsigned long)about.msg_qnum);
	CALL("msgrcv", id, &in, sizeof(in.text), 4, 0);
	fid_note(f, "type %ld\n", in.type);
	CALL("msgrcv", id, &in, 2, 0, 0);
	CALL("msgrcv", id, &in, 2, 0, MSG_NOERROR);
	fid_bytes(f, "message", in.text, sizeof(in.text));
	CALL("msgrcv", id, &in, sizeof(in.text), 0, IPC_NOWAIT);
	if (fid_peer(f))
		_exit(msgsnd(id, &out, 5, 0) < 0);
	CALL("msgrcv", id, &in, sizeof(in.text), 0, 0);
	fid_join(f);
	out.type = 0;
	CALL("msgsnd", id, &out, 2, 0);
	CALL("msgsnd", id, FID_BAD, 2, 0);
	CALL("msgsnd", -1, &out, 2, 0);
	CALL("msgrcv", -1, &in, 2, 0, 0);
	CALL("msgctl", id, 99, &about);
	CALL("msgctl", id, IPC_RMID, NULL);
	CALL("msgrcv", id, &in, 2, 0, 0);
}

static void semaphores(struct fid *f)
{
	struct sembuf up = { 0, 1, 0 }, down = { 0, -1, 0 }, now = { 0, -1, IPC_NOWAIT };
	struct timespec brief = { 0, 1000000 };
	int id = (int)CALL_OK("semget", IPC_PRIVATE, 2, IPC_CREAT | 0600);

	CALL_OK("semget", 0x12345, 1, 0);
	CALL_OK("semget", IPC_PRIVATE, -1, 0600);
	CALL("semop", id, &up, 1);
	CALL("semctl", id, 0, GETVAL, 0);
	fid_note(f, "%d\n", CALL_OK("semctl", id, 0, GETPID, 0) == getpid());
	CALL("semctl", id, 1, SETVAL, 7);
	CALL("semctl", id, 1, GETVAL, 0);
	CALL("semop", id, &down, 1);
	CALL("semop", id, &now, 1);
	CALL("semtimedop", id, &now, 1, NULL);
	CALL("semtimedop", id, &down, 1, &brief);
	if (fid_peer(f))
		_exit(semop(id, &up, 1) < 0);
	CALL("semop", id, &down, 1);
	fid_join(f);
	if (fid_peer(f))
		_exit(semop(id, &up, 1) < 0);
	CALL("semtimedop", id, &down, 1, NULL);
	fid_join(f);
	CALL("semop", id, FID_BAD, 1);
	CALL("semop", id, &up, 0);
	CALL("semop", -1, &up, 1);
	CALL("semtimedop", id, &down, 1, FID_BAD);
	CALL("semctl", id, 9, GETVAL, 0);
	CALL("semctl", id, 0, IPC_RMID, 0);
	CALL("semop", id, &up, 1);
}

static void shared(struct fid *f)
{
	struct shmid_ds about = { 0 };
	int id = (int)CALL_OK("shmget", IPC_PRIVATE, 8192, IPC_CREAT | 0600);
	int64_t at;

	CALL_OK("shmget", 0x12345, 8192, 0);
	CALL_OK("shmget", IPC_PRIVATE, 0, 0600);
	at = CALL_OK("shmat", id, NULL, 0);
	fid_note(f, "above 4 GiB: %d\n", at > UINT32_MAX);
	if (at > 0)
		*(volatile char *)(intptr_t)at = 'x';
	CALL("shmctl", id, IPC_STAT, &about);
	fid_note(f, "size %zu attached %lu\n", about.shm_segsz, (unsigned long)about.shm_nattch);
	CALL_OK("shmat", id, FID_BAD, 0);
	CALL_OK("shmat", -1, NULL, 0);
	CALL("shmdt", at);
	CALL("shmdt", at);
	CALL("shmctl", id, IPC_RMID, NULL);
	CALL("shmctl", id, IPC_STAT, &about);
	CALL("shmctl", -1, 99, NULL);
}

static void queues(struct fid *f)
{
	struct mq_attr attr = { .mq_maxmsg = 2, .mq_msgsize = 16 }, got = { 0 };
	struct timespec past = { 1, 0 };
	char name[32], buf[16] = "";
	unsigned priority = 9;
	int fd;

	snprintf(name, sizeof(name), "asys-fidelity-%d", (int)getpid());
	fd = CALL_FD("mq_open", name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	CALL_FD("mq_open", name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	CALL_FD("mq_open", "asys-fidelity-absent", O_RDWR, 0, NULL);
	CALL_FD("mq_open", FID_BAD, O_RDWR, 0, NULL);
	CALL("mq_timedsend", fd, "low", 3, 1, NULL);
	CALL("mq_timedsend", fd, "high", 4, 7, NULL);
	CALL("mq_timedsend", fd, "none", 4, 7, &past);
	CALL("mq_timedsend", fd, "0123456789abcdefg", 17, 7, &past);
	CALL("mq_getsetattr", fd, NULL, &got);
	fid_note(f, "messages %ld of %ld\n", got.mq_curmsgs, got.mq_maxmsg);
	CALL("mq_timedreceive", fd, buf, 16, &priority, NULL);
	if (fd >= 0 || !fid_emulated()) /* the emulator writes it in any case */
		fid_note(f, "priority %u\n", priority);
	fid_bytes(f, "message", buf, sizeof(buf));
	CALL("mq_timedreceive", fd, buf, 16, NULL, NULL);
	CALL("mq_timedreceive", fd, buf, 16, NULL, &past);
	CALL("mq_timedreceive", fd, buf, 1, NULL, &past);
	CALL("mq_notify", fd, NULL);
	CALL("mq_notify", FID_BAD_FD, NULL);
	if (fid_peer(f))
		_exit(mq_send(fd, "late", 4, 0) < 0);
	CALL("mq_timedreceive", fd, buf, 16, NULL, NULL);
	fid_join(f);
	got.mq_flags = O_NONBLOCK;
	CALL("mq_getsetattr", fd, &got, NULL);
	CALL("mq_timedreceive", fd, buf, 16, NULL, NULL);
	CALL("mq_getsetattr", FID_BAD_FD, NULL, &got);
	CALL("mq_timedsend", FID_BAD_FD, "x", 1, 0, NULL);
	CALL("mq_unlink", name);
	CALL("mq_unlink", name);
	CALL("mq_unlink", FID_BAD);
}

/* In a keyring of this process, which vanishes with it. */
static void keys(struct fid *f)
{
	int64_t ring = CALL_OK("keyctl", KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1);
	int64_t key;
	char buf[16] = "";

	(void)ring;
	key = CALL_OK("add_key", "user", "asys:fidelity", "secret", 6, KEY_SPEC_PROCESS_KEYRING);
	CALL("keyctl", KEYCTL_READ, key, buf, sizeof(buf));
	fid_bytes(f, "key", buf, sizeof(buf));
	fid_note(f, "%d\n", CALL_OK("request_key", "user", "asys:fidelity", NULL, 0) == key);
	CALL_OK("add_key", "nonsense", "x", "secret", 6, KEY_SPEC_PROCESS_KEYRING);
	CALL_OK("add_key", "user", FID_BAD, "secret", 6, KEY_SPEC_PROCESS_KEYRING);
	CALL_OK("request_key", "user", "asys:absent", NULL, 0);
	CALL_OK("request_key", FID_BAD, "asys:absent", NULL, 0);
	CALL("keyctl", KEYCTL_REVOKE, key);
	CALL("keyctl", KEYCTL_READ, key, buf, sizeof(buf));
	CALL("keyctl", 9999, 0, 0, 0);
}

const struct fid_case fid_ipc[] = {
	{ "sysv messages", messages, CLONE_NEWIPC, FID_SPACES_IF_ALLOWED },
	{ "sysv semaphores", semaphores, CLONE_NEWIPC, FID_SPACES_IF_ALLOWED },
	{ "sysv memory", shared, CLONE_NEWIPC, FID_SPACES_IF_ALLOWED },
	{ "message queues", queues, CLONE_NEWIPC, FID_SPACES_IF_ALLOWED },
	{ "keys", keys, 0, 0 },
	{ 0 },
};
