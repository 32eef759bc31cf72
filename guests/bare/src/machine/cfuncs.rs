//! The C symbols that compiled Rust expects of its platform.

use core::arch::global_asm;

// Quadwords first: string instructions on bytes are slow where they are emulated.
global_asm!(
    r#"
    .text
    .globl memcpy, memmove, memset, memcmp, bcmp
    .globl rust_eh_personality, _Unwind_Resume
memmove:
    movq %rdi, %rax
    subq %rsi, %rax
    cmpq %rdx, %rax
    jb 1f
memcpy:
    movq %rdi, %rax
    movq %rdx, %rcx
    shrq $3, %rcx
    rep movsq
    movl %edx, %ecx
    andl $7, %ecx
    rep movsb
    ret
    // The destination starts inside the source: copy from the end.
1:  movq %rdi, %rax
    movq %rdx, %rcx
    leaq -1(%rdi,%rdx), %rdi
    leaq -1(%rsi,%rdx), %rsi
    std
    rep movsb
    cld
    ret
memset:
    movq %rdi, %r8
    movzbl %sil, %eax
    movabsq $0x0101010101010101, %rcx
    imulq %rcx, %rax
    movq %rdx, %rcx
    shrq $3, %rcx
    rep stosq
    movl %edx, %ecx
    andl $7, %ecx
    rep stosb
    movq %r8, %rax
    ret
memcmp:
bcmp:
    xorl %eax, %eax
    testq %rdx, %rdx
    jz 3f
2:  movzbl (%rdi), %eax
    movzbl (%rsi), %ecx
    subl %ecx, %eax
    jnz 3f
    incq %rdi
    incq %rsi
    decq %rdx
    jnz 2b
3:  ret
    // Named by the shipped `alloc`, never called: a panic stops the machine.
rust_eh_personality:
_Unwind_Resume:
    ud2
"#,
    options(att_syntax)
);
