"""Models that stand for their families, and where they differ from the count in the module tree."""

from __future__ import annotations

_FAMILIES = """
beit beit_base_patch16_224
byoanet halonet_h1 lambda_resnet26t lambda_resnet26rpt_256 sebotnet33ts_256 eca_botnext26ts_256
byobnet test_byobnet bat_resnext26ts gcresnet33ts gernet_s repvgg_a0 mobileone_s0 resnet50_clip
cait cait_xxs24_224
coat coat_tiny coat_lite_tiny
convit convit_tiny
convmixer convmixer_768_32
convnext test_convnext convnextv2_atto
cpubone cpubone_nano
crossvit crossvit_tiny_240
csatv2 csatv2
cspnet cs3darknet_focus_s cspresnext50 cs3sedarknet_l cs3edgenet_x
cspnext cspnext_tiny
davit davit_tiny
deepseek_vit deepseek_vit_412m
deit deit_tiny_patch16_224 deit_tiny_distilled_patch16_224
densenet densenet121
dla dla46x_c
dpn dpn48b
edgenext edgenext_xx_small
efficientformer efficientformer_l1
efficientformer_v2 efficientformerv2_s0
efficientnet test_efficientnet efficientnet_b0 tf_mixnet_s tf_efficientnet_cc_b0_4e test_efficientnet_evos
efficientvim efficientvim_m1
efficientvit_mit efficientvit_b0
efficientvit_msra efficientvit_m0
eva vit_tiny_patch16_dinov3_qkvb vit_base_patch16_rope_mixed_224 eva02_tiny_patch14_224 eva02_base_patch14_224
fasternet fasternet_t0
fastvit fastvit_t8 fastvit_sa12
focalnet focalnet_tiny_srf
gcvit gcvit_xxtiny
gemma4_vit gemma4_vit_167m
ghostnet ghostnet_050 ghostnetv2_100 ghostnetv3_050
hardcorenas hardcorenas_b
hgnet hgnetv2_b0 hgnet_tiny
hiera hiera_tiny_224 hiera_small_abswin_256
hieradet_sam2 sam2_hiera_tiny
hrnet hrnet_w18_small
iformer iformer_t
inception_next inception_next_atto
inception_resnet_v2 inception_resnet_v2
inception_v3 inception_v3
inception_v4 inception_v4
lcnetv2 lcnetv2_small
levit levit_128s levit_conv_128s
lowformer lowformer_b0
mambaout test_mambaout
maxxvit test_coatnet maxvit_rmlp_nano_rw_256 coatnext_nano_rw_224 test_maxvit
metaformer poolformerv2_s12 caformer_s18 poolformer_s12
mlp_mixer gmlp_ti16_224 mixer_s32_224 gmixer_12_224 resmlp_12_224
mobilenetv3 mobilenetv3_small_050 mobilenetv4_hybrid_medium
mobilenetv5 mobilenetv5_base
mobilevit mobilevit_xxs mobilevitv2_050
mvitv2 mvitv2_tiny mvitv2_small_cls
naflexvit naflexvit_base_patch16_parfac_gap naflexvit_base_patch16_map
nasnet nasnetalarge
nest nest_tiny
nextvit nextvit_small
nfnet test_nfnet eca_nfnet_l0 nf_seresnet26
pit pit_ti_224 pit_ti_distilled_224
pnasnet pnasnet5large
pvt_v2 pvt_v2_b0 pvt_v2_b2_li
qwen3_vit qwen3_vit_88m qwen3_vit_88m_merge
rdnet rdnet_tiny
regnet regnetx_002 regnety_002
repghost repghostnet_050
repvit repvit_m1
res2net res2next50
resnest resnest14d
resnet test_resnet seresnet50 ecaresnet26t
resnetv2 resnetv2_18 resnetv2_50d_gn resnetv2_50d_evos resnetv2_50d_frn resnetv2_50x1_bit
rexnet rexnet_100
selecsls selecsls42
senet legacy_seresnet18
sequencer sequencer2d_s
shvit shvit_s1
sknet skresnet18
starnet starnet_s050
swiftformer swiftformer_xs
swin_transformer swin_tiny_patch4_window7_224
swin_transformer_v2 swinv2_tiny_window16_256
swin_transformer_v2_cr swinv2_cr_tiny_224
tiny_vit tiny_vit_5m_224
tnt tnt_s_legacy_patch16_224
tresnet tresnet_m
twins twins_svt_small twins_pcpvt_small
vgg vgg11
visformer visformer_tiny
vision_transformer test_vit vit_small_patch14_reg4_dinov2 vit_base_patch16_siglip_224 vit_base_patch16_xp_224
vision_transformer aimv2_large_patch14_224 vit_dlittle_patch16_reg1_gap_256
vision_transformer_hybrid vit_tiny_r_s16_p8_224
vision_transformer_relpos test_vit_relpos vit_srelpos_small_patch16_224
vision_transformer_sam samvit_base_patch16_224
vitamin vitamin_small_224
volo volo_d1_224
vovnet ese_vovnet19b_slim_dw
xception legacy_xception
xception_aligned xception41p
xcit xcit_nano_12_p8_224
"""

#: Pairs of a family of timm (a module of `timm.models`) and a model: each family's smallest, and variants of it whose
#: layers differ.
FAMILIES: list[tuple[str, str]] = [
    (family, model) for line in _FAMILIES.strip().splitlines() for family, *models in [line.split()] for model in models
]

#: Models of torchvision whose layers are their own, or that are no image classifiers.
TORCHVISION = """
convnext_tiny efficientnet_b0 googlenet maxvit_t mnasnet0_5 mobilenet_v3_small mvit_v2_s r3d_18 s3d
shufflenet_v2_x0_5 squeezenet1_1 swin3d_t swin_t swin_v2_t vit_b_32
"""

#: Further nodes of layers that a model uses more than once: each use has a node, the first with the parameters.
SHARED: dict[str, dict[str, int]] = {
    # the position encodings of a scale serve all blocks of that scale
    "coat_tiny": {"sep_conv": 88, "conv": 24, "bias": 112},
    "coat_lite_tiny": {"sep_conv": 16, "bias": 16},
}

#: Additions more or fewer than the blocks of the model have.
FURTHER_SUMS: dict[str, int] = {
    # the two position tables are added to each other first
    "sam2_hiera_tiny": -1,
    "hiera_small_abswin_256": -1,
    "naflexvit_base_patch16_parfac_gap": -1,
}

#: Outputs of models with more than one.
OUTPUTS: dict[str, int] = {
    # two auxiliary classifiers
    "googlenet": 3,
}
